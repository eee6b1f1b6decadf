//! Wakeup predicates: checked when they are bound, evaluated when their environment goes to sleep and when something has happened that may
//! have made them true; never in between, so that a vCPU halts while all sleep.
//!
//! No wake-up is lost. Whoever makes a predicate true writes its words first and then calls `environment_wake`, which takes the kernel's
//! lock; who goes to sleep evaluates and is asleep with the lock held. So either the evaluation sees the words, or the hint sees a sleeper.

use exo_abi::environment::{ENVIRONMENTS_MAX, State};
use exo_abi::term::PREDICATE_TERMS_MAX;
use exo_abi::{EnvironmentId, Error};
use exo_verifier::{Loaded, Predicate, Refusal, Test, Word, WordSource};

use crate::hw::memory::WordWindow;
use crate::hw::registers;
use crate::kernel::Kernel;
use crate::{scheduler, timer};

/// One for each environment, and one more.
pub const PREDICATES_MAX: usize = ENVIRONMENTS_MAX + 1;

/// The predicates of all environments. [`crate::kernel::Environment::predicate`] says which is whose.
pub struct Predicates {
    programs: &'static mut [Predicate; PREDICATES_MAX],
    /// Nobody's: the next one is checked in it, and so the one before stays until that is accepted, and nothing is copied.
    spare: u16,
    /// From here on none was used.
    fresh: u16,
}

impl Predicates {
    /// All without terms.
    pub fn new(programs: &'static mut [Predicate; PREDICATES_MAX]) -> Self {
        Self {
            programs,
            spare: 0,
            fresh: 1,
        }
    }
}

/// Checks the first `count` terms in the caller's call page, and makes them its predicate.
pub fn bind(kernel: &mut Kernel, caller: EnvironmentId, count: u64) -> Result<(), Refusal> {
    let refuse = |error| Refusal { accepted: 0, error };
    if count == 0 || count > PREDICATE_TERMS_MAX as u64 {
        return Err(refuse(Error::BadCount));
    }
    let pages = kernel.environment(caller).map_err(refuse)?.context.pages;
    let Predicates {
        programs,
        spare,
        fresh,
    } = &mut kernel.predicates;
    let program = programs
        .get_mut(usize::from(*spare))
        .ok_or(refuse(Error::Exhausted))?;
    let terms = (0..count as usize).map(|number| pages.batch_term(number));
    let ledger = &kernel.ledger;
    program.bind(terms, |capability, frame| {
        ledger.check_read(caller, capability, frame)
    })?;
    let names_time = |test: &Test<Word>| test.place.source == WordSource::Time;
    if !kernel.has_timer && program.tests().iter().any(names_time) {
        return Err(refuse(Error::Unsupported));
    }

    let bound = *spare;
    let index = usize::from(caller.0).wrapping_sub(1);
    if let Some(environment) = kernel.environments.get_mut(index) {
        *spare = environment.predicate.replace(bound).unwrap_or_else(|| {
            *fresh += 1;
            *fresh - 1
        });
    }
    Ok(())
}

/// Takes the predicate from an environment, and lets the next one with its number have its place.
pub fn unbind(kernel: &mut Kernel, id: EnvironmentId) {
    let position = kernel.environment(id).ok().and_then(|one| one.predicate);
    let programs = &mut kernel.predicates.programs;
    if let Some(program) = position.and_then(|position| programs.get_mut(usize::from(position))) {
        program.clear();
    }
}

/// Whether the predicate of an environment holds at time stamp `now`; `bad-state`: it has bound none. A word under a capability that is stale makes it
/// hold. Cost: linear in its terms.
pub fn holds(kernel: &mut Kernel, id: EnvironmentId, now: u64) -> Result<bool, Error> {
    let environment = kernel.environment(id)?;
    let pages = environment.context.pages;
    let position = environment.predicate.ok_or(Error::BadState)?;
    let ledger = &kernel.ledger;
    let programs = &kernel.predicates.programs;
    let program = programs.get(usize::from(position)).ok_or(Error::BadState)?;
    if program.tests().is_empty() {
        return Err(Error::BadState);
    }
    let mut window = WordWindow::new();
    Ok(program.holds(|word| match word.source {
        WordSource::Time => Loaded::Operand(now),
        WordSource::CallPage => Loaded::Operand(pages.call_word(word.address)),
        // Range and right were checked, and stay while the capability is the same.
        WordSource::Frame => match ledger.capability(id, word.capability) {
            Ok(_) => Loaded::Operand(window.read(word.address)),
            Err(_) => Loaded::Revoked,
        },
    }))
}

/// Has the caller, which sleeps on its predicate, woken when time alone can make it true. `now` is when that was found not to hold: a
/// moment that has passed since is not missed.
pub fn set_deadline(kernel: &mut Kernel, index: usize, id: EnvironmentId, now: u64) {
    let position = kernel.environment(id).ok().and_then(|one| one.predicate);
    let program = position.and_then(|position| {
        let programs = &kernel.predicates.programs;
        programs.get(usize::from(position))
    });
    let moment = program.and_then(|program| program.deadline(now));
    timer::set_sleep(kernel, index, id, moment.unwrap_or(timer::NEVER));
}

/// A moment has come that the predicate of an environment of this vCPU `index` names: wakes it, or waits for the next.
pub fn handle_moment(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    let now = registers::time_stamp();
    if is_awaited(kernel, id) && holds(kernel, id, now) == Ok(false) {
        set_deadline(kernel, index, id, now);
    } else {
        scheduler::wake(kernel, index, id);
    }
}

/// An interrupt has come for an environment: wakes it, unless it sleeps on a predicate that does not hold. vCPU `index` is this one.
pub fn notice(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    if is_awaited(kernel, id) {
        reconsider(kernel, index, id);
    } else {
        scheduler::wake(kernel, index, id);
    }
}

/// An event has come for an environment of this vCPU at a moment that it wanted: wakes it as an interrupt does, or waits on for the moments
/// of its predicate.
pub fn notice_moment(kernel: &mut Kernel, index: usize, id: EnvironmentId, now: u64) {
    notice(kernel, index, id);
    if is_awaited(kernel, id) {
        set_deadline(kernel, index, id, now);
    }
}

/// Wakes an environment if it sleeps on a predicate that holds now; whether it did. vCPU `index` is this one.
pub fn reconsider(kernel: &mut Kernel, index: usize, id: EnvironmentId) -> bool {
    let now = registers::time_stamp();
    let wakes = is_awaited(kernel, id) && holds(kernel, id, now) == Ok(true);
    if wakes {
        scheduler::wake(kernel, index, id);
    }
    wakes
}

/// Whether an environment sleeps until its predicate holds.
fn is_awaited(kernel: &mut Kernel, id: EnvironmentId) -> bool {
    let awaits = kernel.environment(id).is_ok_and(|one| one.awaits_predicate);
    let state = kernel.ledger.environment(id).map(|entry| entry.state);
    awaits && state == Ok(State::Waiting as u32)
}
