//! Event counters: what `eventfd` makes.

use alloc::rc::Rc;
use core::cell::Cell;

use linux_raw_sys::general::{POLLIN, POLLOUT};

use crate::calls::program::Buffer;
use crate::errno::Errno;
use crate::wait::{self, WaitQueue};

/// The largest value that a counter can have (eventfd(2)).
const VALUE_MAX: u64 = u64::MAX - 1;

/// A counter.
#[derive(Debug)]
pub struct Counter {
    value: Cell<u64>,
    /// A read takes one, and not all.
    is_semaphore: bool,
    /// How often something was added: for who wants to know of changes.
    pub additions: Cell<u64>,
    /// Who waits for a change.
    pub changed: Rc<WaitQueue>,
}

impl Counter {
    /// A counter of this value.
    pub fn new(value: u64, is_semaphore: bool) -> Self {
        Self {
            value: Cell::new(value),
            is_semaphore,
            additions: Cell::new(0),
            changed: WaitQueue::new(),
        }
    }

    /// Takes the value, or one of it; waits while that is 0.
    pub fn read(&self, buffer: &mut Buffer, now: bool) -> wait::Result<()> {
        if buffer.left() < 8 {
            return Err(Errno::EINVAL.into());
        }
        let value = self.value.get();
        let taken = match (value, self.is_semaphore) {
            (0, _) if now => return Err(Errno::EAGAIN.into()),
            (0, _) => return Err(buffer.wait(&self.changed)),
            (_, true) => 1,
            (_, false) => value,
        };
        buffer.put(&taken.to_le_bytes())?;
        self.value.set(value - taken);
        self.changed.wake_all();
        Ok(())
    }

    /// Adds to the value; waits while that has no room.
    pub fn write(&self, buffer: &mut Buffer, now: bool) -> wait::Result<()> {
        if buffer.left() < 8 {
            return Err(Errno::EINVAL.into());
        }
        let mut bytes = [0; 8];
        buffer.take(&mut bytes)?;
        let more = u64::from_le_bytes(bytes);
        if more > VALUE_MAX {
            return Err(Errno::EINVAL.into());
        }
        let sum = self.value.get().checked_add(more);
        match sum.filter(|&sum| sum <= VALUE_MAX) {
            None if now => Err(Errno::EAGAIN.into()),
            None => Err(wait::Wait::queue(&self.changed).into()),
            Some(sum) => {
                self.value.set(sum);
                self.additions.set(self.additions.get() + 1);
                self.changed.wake_all();
                Ok(())
            }
        }
    }

    /// What can be done without waiting.
    pub fn readiness(&self) -> u32 {
        let value = self.value.get();
        let readable = if value != 0 { POLLIN } else { 0 };
        readable | if value < VALUE_MAX { POLLOUT } else { 0 }
    }
}
