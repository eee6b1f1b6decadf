//! The timer of each vCPU, shared by everything that waits for a moment.
//!
//! There are three uses, and the earliest of them is armed: the end of the slice ([`crate::scheduler`]), while somebody else could run;
//! the sleeps of the environments of this vCPU and the events that they want ([`set_sleep`], [`set_event`]; [`predicates::handle_moment`] when the moment has come); and one
//! alarm of the kernel's own ([`set_alarm`]; [`scheduler::handle_alarm`]). Moments are values of the time stamp counter, and [`NEVER`].
//! Whoever changes one calls [`arm`] behind it, on the vCPU itself; a switch does so anyway.
//!
//! Without a timer ([`Kernel::has_timer`]) moments are looked at when somebody is switched, and slices have no end.

use exo_abi::EnvironmentId;

use crate::hw::registers;
use crate::hw::vcpu::{SLICE_VECTOR, TIMER_VECTOR, Turn};
use crate::kernel::Kernel;
use crate::{interrupts, predicates, scheduler, sleepers, slices};

/// A moment that does not come.
pub const NEVER: u64 = u64::MAX;

/// Ticks after which an event comes again that could not be told.
const RETRY_TICKS: u64 = 1 << 24;

/// What a vCPU remembers of its timer.
pub struct Timer {
    /// The vector that it raises; 0: none was set yet.
    vector: usize,
    /// Whether it is armed, or was when it last fired.
    armed: bool,
    /// Whether it counts the slice: somebody else could run.
    counts_slice: bool,
    /// One more than the moment of the alarm; 0: there is none.
    alarm: u64,
}

impl Timer {
    /// Not used yet.
    pub const NEW: Self = Self {
        vector: 0,
        armed: false,
        counts_slice: false,
        alarm: 0,
    };
}

/// Looks at the predicate of an environment at a moment, on its own vCPU `index`, unless it is woken before. Cost: logarithmic in the sleepers.
pub fn set_sleep(kernel: &mut Kernel, index: usize, id: EnvironmentId, moment: u64) {
    sleepers::remove(kernel, index, id);
    let event_at = kernel.environment(id).map_or(0, |one| one.event_at);
    // None, 0, is the latest of all here.
    let moment = moment.min(event_at.wrapping_sub(1));
    if moment != NEVER {
        sleepers::insert(kernel, index, id, moment);
    }
}

/// Takes that back. Cost: as [`set_sleep`]; constant for who has no moment set.
pub fn cancel_sleep(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    set_sleep(kernel, index, id, NEVER);
}

/// Has an event come to an environment of vCPU `index` at a moment; 0: at none.
pub fn set_event(kernel: &mut Kernel, index: usize, id: EnvironmentId, moment: u64) {
    if let Ok(environment) = kernel.environment(id) {
        environment.event_at = moment;
    }
    cancel_sleep(kernel, index, id);
}

/// Calls [`scheduler::handle_alarm`] on vCPU `index`, which this is, at a moment; [`NEVER`] takes it back.
pub fn set_alarm(kernel: &mut Kernel, index: usize, moment: u64) {
    if let Some(vcpu) = kernel.vcpus.get_mut(index) {
        vcpu.timer.alarm = moment.wrapping_add(1);
    }
}

/// Whether vCPU `index` knows that somebody waits for the end of its slice. If not, it has to be told of one who does.
pub fn counts_slice(kernel: &Kernel, index: usize) -> bool {
    let vcpu = kernel.vcpus.get(index);
    vcpu.is_some_and(|vcpu| vcpu.timer.counts_slice)
}

/// Arms the timer of vCPU `index`, which this is, for the earliest of its moments.
pub fn arm(kernel: &mut Kernel, index: usize) {
    if !kernel.has_timer {
        return;
    }
    let slice = slice_moment(kernel, index);
    let sleep = sleepers::first(kernel, index).unwrap_or(NEVER);
    let Some(vcpu) = kernel.vcpus.get_mut(index) else {
        return;
    };
    let timer = &mut vcpu.timer;
    let other = sleep.min(timer.alarm.wrapping_sub(1));
    let (moment, vector) = if slice <= other {
        (slice, SLICE_VECTOR)
    } else {
        (other, TIMER_VECTOR)
    };
    if moment == NEVER {
        if timer.armed {
            timer.armed = false;
            registers::set_deadline(0);
        }
        return;
    }
    timer.armed = true;
    if timer.vector != vector {
        timer.vector = vector;
        registers::set_timer_vector(vector);
    }
    // A libOS may name any moment that has passed, and 0 would disarm the timer, for the slice too.
    registers::set_deadline(moment.max(1));
}

/// When the timer has to look at the slice. One that nobody waited for has no end; it begins anew with the first rival.
fn slice_moment(kernel: &mut Kernel, index: usize) -> u64 {
    let running = kernel.ledger.running(index) != EnvironmentId::NOBODY;
    let counts = running && slices::has_rival(kernel, index);
    let (length, grace) = (kernel.slice_ticks, kernel.grace_ticks);
    let Some(vcpu) = kernel.vcpus.get_mut(index) else {
        return NEVER;
    };
    let began = core::mem::replace(&mut vcpu.timer.counts_slice, counts);
    if !counts || length == 0 {
        return NEVER;
    }
    let turn = Turn::on(index);
    if turn.in_grace() {
        return turn.end() + grace;
    }
    if !began {
        let now = registers::time_stamp();
        if turn.end() <= now {
            turn.set_end(now + length);
        }
    }
    turn.end()
}

/// The moment has come at which an environment of this vCPU wanted an event. One that cannot be told now gets it again.
fn handle_event(kernel: &mut Kernel, index: usize, id: EnvironmentId, now: u64) {
    let is_told = interrupts::raise_timer_event(kernel, index, id);
    set_event(
        kernel,
        index,
        id,
        if is_told { 0 } else { now + RETRY_TICKS },
    );
    predicates::notice_moment(kernel, index, id, now);
}

/// The moment of a sleeper, or of the alarm, has come on this vCPU.
pub fn handle_moment(kernel: &mut Kernel, index: usize) {
    let now = registers::time_stamp();
    while let Some(id) = sleepers::take_due(kernel, index, now) {
        let event_at = kernel.environment(id).map_or(0, |one| one.event_at);
        if event_at != 0 && event_at <= now + 1 {
            handle_event(kernel, index, id, now);
        } else {
            predicates::handle_moment(kernel, index, id);
        }
    }
    let alarm = kernel.vcpus.get(index).map_or(0, |vcpu| vcpu.timer.alarm);
    if alarm != 0 && alarm.wrapping_sub(1) <= now {
        if let Some(vcpu) = kernel.vcpus.get_mut(index) {
            vcpu.timer.alarm = 0;
        }
        scheduler::handle_alarm(kernel, index);
    }
    arm(kernel, index);
}
