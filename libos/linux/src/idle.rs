//! What an environment does while none of its threads can run: it gives way to other processes, and then sleeps, until an event, a moment, or a word
//! of another process.

use exo_rt::clock::time_stamp_of;
use exo_rt::{environment, family, gate, predicate, revocation, wait};

use crate::calls;

/// Has an event come at a moment in nanoseconds.
pub fn set_event(moment: u64) {
    // Without a timer threads run until they wait.
    let _ = gate::timer_set(time_stamp_of(moment));
}

/// Nanoseconds to a deadline that may pass while others have their turns.
const NEAR: u64 = 50_000_000;

/// Waits until something may have changed, or another process of the family wakes the one at `seat`, at the latest until `deadline` in
/// nanoseconds. Events count that are not among the first `seen`. The family's lock is free meanwhile.
///
/// As long as others of the family have something to do, it is not asleep but yields to them: who answers soon costs no more than two yields.
pub fn wait(seat: usize, deadline: Option<u64>, seen: u64) {
    let is_over =
        || environment::events() != seen || deadline.is_some_and(|moment| moment <= calls::now());
    let is_far = deadline.is_none_or(|moment| moment > calls::now() + NEAR);
    if !is_far || !family::give_way(seat, is_over) {
        sleep(seat, deadline, seen);
    }
}

fn sleep(seat: usize, deadline: Option<u64>, seen: u64) {
    let woken = family::sleep_term(seat);
    family::release();
    revocation::serve();
    let events = predicate::events_differ(seen);
    let bound = match deadline {
        Some(moment) => gate::predicate_bind(&[
            events,
            woken,
            predicate::time_reached(time_stamp_of(moment)),
        ]),
        None => gate::predicate_bind(&[events, woken]),
    };
    // Without a timer there is no sleep that ends at a moment.
    let slept = bound.is_ok() && gate::environment_sleep().is_ok();
    if !slept && wait::shares_vcpu() {
        wait::yield_now();
    }
    revocation::serve();
    family::acquire();
    family::wake_up(seat);
}
