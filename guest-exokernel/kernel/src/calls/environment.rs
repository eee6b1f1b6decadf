//! Calls about the running of the caller: yield, wait, upcalls.

use exo_abi::environment::{State, UPCALL_SLOTS};
use exo_abi::upcall::UPCALL_ENTRY_STRIDE;
use exo_abi::{EnvironmentId, Error};

use super::{Answer, Outcome};
use crate::entries::{check_instruction, check_optional_instruction, check_stack};
use crate::hw::environment_pages::EnvironmentPages;
use crate::hw::registers;
use crate::hw::switch::{self, Progress};
use crate::hw::transfer_notes::Peer;
use crate::kernel::Kernel;
use crate::{interrupts, predicates, scheduler, slices, timer};

/// Lets the next environment have its turn, or a named one the rest of this slice; alone, the caller goes on at once.
pub fn environment_yield(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    named: u64,
) -> Outcome {
    if named == u64::from(caller.0) {
        return Ok(0).into();
    }
    if named != 0 {
        let donated = u16::try_from(named)
            .map_err(|_| Error::BadArgument)
            .and_then(|number| scheduler::donate(kernel, index, EnvironmentId(number)));
        if let Err(error) = donated {
            return Err(error).into();
        }
    }
    if !slices::has_rival(kernel, index) {
        return Ok(0).into();
    }
    slices::add(kernel, index, caller);
    Outcome::Switch
}

/// The code of the interface page has stored or loaded the vector registers of the caller, as a forced switch asked it to.
pub fn vectors_moved(kernel: &mut Kernel, index: usize, caller: EnvironmentId) -> Outcome {
    let context = match kernel.environment(caller) {
        Ok(environment) => &mut environment.context,
        Err(error) => return Err(error).into(),
    };
    match context.progress {
        Progress::Storing => {
            context.progress = Progress::Saved;
            slices::add(kernel, index, caller);
            Outcome::Switch
        }
        Progress::Loading => {
            context.progress = Progress::None;
            let context = *context;
            context.pages.load_gate_frame();
            switch::load_segments(&context);
            // Loading took its time, which is not to be that of a new slice.
            if context.begins {
                scheduler::begin_slice(kernel, index, registers::time_stamp());
            }
            timer::arm(kernel, index);
            interrupts::remind(kernel, index, caller);
            Outcome::Restore(context)
        }
        Progress::None | Progress::Saved => Err(Error::BadState).into(),
    }
}

/// Sleeps until the event counter in the call page differs from `seen`, or, where `willing`, until somebody transfers to the caller.
/// Interrupts are off, so no event can come between.
pub fn environment_wait(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    seen: u64,
    willing: u64,
) -> Outcome {
    let pages = match check_wait(kernel, caller, willing) {
        Ok(pages) => pages,
        Err(error) => return Err(error).into(),
    };
    if let Ok(environment) = kernel.environment(caller) {
        environment.awaits_predicate = false;
    }
    let events = pages.events();
    if !scheduler::sleep(kernel, index, caller, events != seen) {
        return Ok(events).into();
    }
    if willing != 0 {
        pages.set_peer(Peer::Anybody);
    }
    Outcome::Switch
}

/// The terms of the call page become the predicate of the caller. The value of the answer is the number of terms accepted.
pub fn predicate_bind(kernel: &mut Kernel, caller: EnvironmentId, terms: u64) -> Answer {
    match predicates::bind(kernel, caller, terms) {
        Ok(()) => Ok(terms).into(),
        Err(refusal) => Answer {
            status: refusal.error as u64,
            value: refusal.accepted as u64,
        },
    }
}

/// Sleeps until the predicate of the caller holds; where it does already, returns at once.
pub fn environment_sleep(kernel: &mut Kernel, index: usize, caller: EnvironmentId) -> Outcome {
    let now = registers::time_stamp();
    let holds = match predicates::holds(kernel, caller, now) {
        Ok(holds) => holds,
        Err(error) => return Err(error).into(),
    };
    if let Ok(environment) = kernel.environment(caller) {
        environment.awaits_predicate = true;
    }
    if !scheduler::sleep(kernel, index, caller, holds) {
        return Ok(1).into();
    }
    predicates::set_deadline(kernel, index, caller, now);
    Outcome::Switch
}

/// Looks whether the predicate holds on which an environment sleeps. The answer is 1 if so, and 0 if it does not or nobody sleeps.
pub fn environment_wake(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    environment: u64,
) -> Result<u64, Error> {
    let id = kernel.ledger.environment_number(environment)?;
    let entry = kernel.ledger.environment(id)?;
    if entry.state == State::Runnable as u32 && id != caller && are_kin(kernel, caller, id) {
        kernel.environment(id)?.context.pages.raise_events();
        interrupts::announce(kernel, id);
        return Ok(0);
    }
    Ok(u64::from(predicates::reconsider(kernel, index, id)))
}

/// Whether two environments have the same owner, or one owns the other: then they may interrupt each other.
fn are_kin(kernel: &Kernel, one: EnvironmentId, other: EnvironmentId) -> bool {
    let owner = |id: EnvironmentId| kernel.ledger.environment(id).map_or(0, |entry| entry.owner);
    let (first, second) = (owner(one), owner(other));
    first == u32::from(other.0) || second == u32::from(one.0) || first != 0 && first == second
}

/// Who is willing to be entered has said where, and has nobody else to reply to.
fn check_wait(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    willing: u64,
) -> Result<EnvironmentPages, Error> {
    if willing > 1 {
        return Err(Error::BadArgument);
    }
    let pages = kernel.environment(caller)?.context.pages;
    if willing != 0 && !(pages.has_entry() && pages.peer() == Peer::None) {
        return Err(Error::BadState);
    }
    Ok(pages)
}

/// Sets where upcalls go. Checked so that the kernel's `iretq` cannot fault: every entry, and the stack, is in the lower half.
pub fn upcall_set(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    entry: u64,
    stack: u64,
) -> Result<u64, Error> {
    let last = entry
        .checked_add(UPCALL_ENTRY_STRIDE * (UPCALL_SLOTS as u64 - 1))
        .ok_or(Error::BadAddress)?;
    check_instruction(entry)?;
    check_instruction(last)?;
    check_stack(stack)?;
    kernel
        .environment(caller)?
        .context
        .pages
        .set_upcall(entry, stack);
    Ok(0)
}

/// Has an event come to the caller at a moment; 0: at none.
pub fn timer_set(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    moment: u64,
) -> Result<u64, Error> {
    if !kernel.has_timer {
        return Err(Error::Unsupported);
    }
    timer::set_event(kernel, index, caller, moment);
    timer::arm(kernel, index);
    Ok(0)
}

/// Sets where event upcalls go, checked like [`upcall_set`]. Entry 0: events are only counted. What the caller has not been told yet, it is
/// told behind this call.
pub fn event_upcall_set(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    entry: u64,
    stack: u64,
) -> Result<u64, Error> {
    check_optional_instruction(entry)?;
    check_stack(stack)?;
    let pages = kernel.environment(caller)?.context.pages;
    pages.set_event_upcall(entry, stack);
    interrupts::remind(kernel, index, caller);
    Ok(0)
}
