//! Signals that were sent and not taken yet.

use alloc::collections::VecDeque;

use super::{FIRST_QUEUED, Information, OF_PROCESSOR, bit};

/// Most that are kept for a process or a thread.
const QUEUED_MAX: usize = 4096;

/// Pending signals of a process or of a thread.
#[derive(Debug, Default)]
pub struct Pending {
    set: u64,
    queue: VecDeque<Information>,
}

impl Pending {
    /// Which there are.
    pub fn set(&self) -> u64 {
        self.set
    }

    /// Adds one; false where there is no room for it.
    pub fn add(&mut self, information: Information) -> bool {
        let bit = bit(information.signal);
        if information.signal < FIRST_QUEUED && self.set & bit != 0 {
            return true;
        }
        if self.queue.len() >= QUEUED_MAX {
            return false;
        }
        self.set |= bit;
        self.queue.push_back(information);
        true
    }

    /// Takes the one of `wanted` that comes first: those of the processor, then by number, then by age.
    pub fn take(&mut self, wanted: u64) -> Option<Information> {
        let there = self.set & wanted;
        let candidates = match there & OF_PROCESSOR {
            0 => there,
            first => first,
        };
        if candidates == 0 {
            return None;
        }
        let signal = candidates.trailing_zeros() + 1;
        let is_it = |information: &Information| information.signal == signal;
        let place = self.queue.iter().position(is_it)?;
        let taken = self.queue.remove(place);
        if !self.queue.iter().any(is_it) {
            self.set &= !bit(signal);
        }
        taken
    }

    /// Drops all of a set.
    pub fn drop_all(&mut self, unwanted: u64) {
        self.set &= !unwanted;
        self.queue
            .retain(|information| bit(information.signal) & unwanted == 0);
    }
}
