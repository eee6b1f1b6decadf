//! How a run ends: said once, by whoever ends it, and heard by all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use exo_abi::port::ExitCode;

/// Why the machine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The kernel asked for it.
    Asked(ExitCode),
    /// The kernel asked for it with a number that the contract does not have.
    AskedStrangely(u32),
    /// The machine cannot go on.
    Failed {
        /// One line: which vCPU, what, and where.
        what: String,
        /// Its registers.
        registers: String,
    },
}

/// Guest and host time at one moment, for converting guest time stamps.
#[derive(Clone, Copy, Debug)]
pub struct ClockPair {
    /// Time stamp counter as the guest reads it.
    pub guest_tsc: u64,
    /// The host's clock.
    pub host: std::time::Instant,
}

/// The end of a run, which the first to report it decides.
#[derive(Default)]
pub struct Ending {
    stopping: AtomicBool,
    end: Mutex<Option<(End, Option<ClockPair>)>>,
    ended: Condvar,
}

impl Ending {
    /// Reports the end. Later reports are ignored.
    pub fn report(&self, end: End, clock: Option<ClockPair>) {
        let mut slot = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert((end, clock));
        self.stopping.store(true, Ordering::Release);
        self.ended.notify_all();
    }

    /// Whether vCPUs have to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Sleeps until the end.
    pub fn wait(&self) -> (End, Option<ClockPair>) {
        let mut slot = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*slot {
                Some(end) => return end.clone(),
                None => {
                    slot = self
                        .ended
                        .wait(slot)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
    }
}
