//! What all nodes of a file system share: their numbers, the frames behind their contents, and the time.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use crate::calls::now;
use crate::memory::Memory;

/// Frames that are taken from the program's at a time.
const FRAMES_AT_ONCE: u64 = 64;

/// Numbers, frames and time.
#[derive(Debug, Default)]
pub struct Store {
    next_number: Cell<u64>,
    frames: RefCell<Vec<u64>>,
    /// Nanoseconds since 1970 when the time stamp counter was zero.
    epoch: Cell<u64>,
}

impl Store {
    /// A number that no node has.
    pub fn number(&self) -> u64 {
        let number = self.next_number.get() + 1;
        self.next_number.set(number);
        number
    }

    /// A frame, with whatever is in it.
    pub fn take_frame(&self, memory: &mut Memory) -> Option<u64> {
        let mut frames = self.frames.borrow_mut();
        if let Some(frame) = frames.pop() {
            return Some(frame);
        }
        let (first, count) = match memory.take_frames(FRAMES_AT_ONCE) {
            Some(first) => (first, FRAMES_AT_ONCE),
            None => (memory.take_frames(1)?, 1),
        };
        frames.extend((first..first + count).rev());
        frames.pop()
    }

    /// Takes frames back.
    pub fn give_frames(&self, given: impl Iterator<Item = u64>) {
        self.frames.borrow_mut().extend(given);
    }

    /// Sets the time: nanoseconds since 1970, now.
    pub fn set_time(&self, time: u64) {
        self.epoch.set(time.saturating_sub(now()));
    }

    /// Nanoseconds since 1970 when the time stamp counter was zero.
    pub fn epoch(&self) -> u64 {
        self.epoch.get()
    }

    /// Nanoseconds since 1970.
    pub fn now(&self) -> u64 {
        self.epoch.get() + now()
    }
}
