//! Timers that are files: what `timerfd_create` makes.

use alloc::rc::Rc;
use core::cell::Cell;

use linux_raw_sys::general::POLLIN;

use crate::calls::now;
use crate::calls::program::Buffer;
use crate::errno::Errno;
use crate::wait::{self, Wait, WaitQueue};

/// A timer.
#[derive(Debug)]
pub struct Timer {
    /// The clock that its times are of.
    pub clock: u64,
    /// When it expires next, in nanoseconds of [`now`]; 0: it does not.
    next: Cell<u64>,
    /// Nanoseconds between expirations; 0: there is only one.
    interval: Cell<u64>,
    /// Who waits for it: told when it is set.
    pub changed: Rc<WaitQueue>,
}

impl Timer {
    /// A timer that does not run.
    pub fn new(clock: u64) -> Self {
        Self {
            clock,
            next: Cell::new(0),
            interval: Cell::new(0),
            changed: WaitQueue::new(),
        }
    }

    /// Has it expire at a moment, and from then on at intervals; at 0 not at all.
    pub fn set(&self, next: u64, interval: u64) {
        self.next.set(next);
        self.interval.set(interval);
        self.changed.wake_all();
    }

    /// The interval, and the nanoseconds until it expires next.
    pub fn remaining(&self) -> [u64; 2] {
        let (next, interval) = (self.next.get(), self.interval.get());
        let current = now();
        let left = match next {
            0 => 0,
            _ if next > current => next - current,
            _ if interval == 0 => 0,
            _ => interval - (current - next) % interval,
        };
        [interval, left]
    }

    /// Expirations that nobody has read.
    fn expirations(&self, current: u64) -> u64 {
        let (next, interval) = (self.next.get(), self.interval.get());
        match current.checked_sub(next) {
            Some(late) if next != 0 => late.checked_div(interval).unwrap_or(0) + 1,
            _ => 0,
        }
    }

    /// When it becomes readable by itself.
    pub fn moment(&self) -> Option<u64> {
        Some(self.next.get()).filter(|&next| next != 0)
    }

    /// Reads how often it has expired; waits for the first time.
    pub fn read(&self, buffer: &mut Buffer, at_once: bool) -> wait::Result<()> {
        if buffer.left() < 8 {
            return Err(Errno::EINVAL.into());
        }
        let count = self.expirations(now());
        if count == 0 && at_once {
            return Err(Errno::EAGAIN.into());
        }
        if count == 0 {
            let mut wait = Wait::queue(&self.changed);
            wait.deadline = self.moment();
            return Err(wait.into());
        }
        buffer.put(&count.to_le_bytes())?;
        self.next.set(match self.interval.get() {
            0 => 0,
            interval => self.next.get() + count * interval,
        });
        Ok(())
    }

    /// What can be done without waiting.
    pub fn readiness(&self) -> u32 {
        if self.expirations(now()) != 0 {
            POLLIN
        } else {
            0
        }
    }
}
