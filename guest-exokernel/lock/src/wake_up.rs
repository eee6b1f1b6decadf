//! Sleep and wake-up, so that no wake-up is lost.
//!
//! 1. Who makes an event happen writes it first, then takes the lock and calls [`wake`].
//! 2. Who wants to sleep looks for events with the lock held, and is asleep before it gives the lock up ([`fall_asleep`]).
//! 3. A vCPU that finds nobody to run notes that it is idle with the lock held, and halts with interrupts off until the halt: an
//!    interrupt that was sent before ends the halt at once (Intel SDM volume 2, STI: it takes effect after the next instruction).

/// A sleeper and the vCPU that runs it, as the holder of the lock sees them.
pub trait Sleeper {
    /// Whether what it waits for has happened.
    fn has_event(&mut self) -> bool;
    /// Whether it sleeps.
    fn is_asleep(&mut self) -> bool;
    /// Notes that it sleeps.
    fn set_asleep(&mut self);
    /// Lets it run: no longer asleep, and in its vCPU's queue.
    fn set_runnable(&mut self);
    /// Whether its vCPU is another than this, and halts or is about to.
    fn is_idle_elsewhere(&mut self) -> bool;
    /// Interrupts its vCPU.
    fn interrupt(&mut self);
}

/// Lets the sleeper sleep, unless what it waits for has happened. Whether it sleeps now.
#[inline]
pub fn fall_asleep(sleeper: &mut impl Sleeper) -> bool {
    let sleeps = !sleeper.has_event();
    if sleeps {
        sleeper.set_asleep();
    }
    sleeps
}

/// Ends the sleep, if it sleeps. Called by who has made happen what it waits for.
#[inline]
pub fn wake(sleeper: &mut impl Sleeper) {
    if !sleeper.is_asleep() {
        return;
    }
    // Asked before the queue changes who is idle.
    let idle = sleeper.is_idle_elsewhere();
    sleeper.set_runnable();
    if idle {
        sleeper.interrupt();
    }
}
