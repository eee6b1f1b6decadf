//! Frames for page tables.

use exo_abi::address::PAGE_SIZE;
use exo_abi::layout::Table;
use exo_abi::port::ExitCode;

use super::{read, write};
use crate::hw::console;

/// Empty tables. The quotas of all environments together are the pool, so who is within its quota gets one.
///
/// Tables come with the frame behind them, which holds the links of their entries. Single are only those that lead to the pages of an
/// environment, which keeps them. Only pairs come back.
/// Singles are cut from pairs, one pair at a time, so whenever two frames are left a pair is left.
pub struct TablePool {
    next: u64,
    end: u64,
    /// First of the pairs that came back; its first word is the address of another one, and 0 ends the list.
    pairs: u64,
    /// The half of a cut pair; 0: none.
    half: u64,
}

impl TablePool {
    /// All frames of `table`, which are zero.
    pub fn new(table: Table) -> Self {
        Self {
            next: table.start,
            end: table.start + table.count * PAGE_SIZE,
            pairs: 0,
            half: 0,
        }
    }

    /// An empty frame.
    pub(super) fn take(&mut self) -> u64 {
        if self.half != 0 {
            return core::mem::take(&mut self.half);
        }
        if self.pairs == 0 && self.next + PAGE_SIZE == self.end {
            // The last frame of an odd number.
            return core::mem::replace(&mut self.next, self.end);
        }
        let pair = self.take_pair();
        self.half = pair + PAGE_SIZE;
        pair
    }

    /// Two frames, one behind the other; the first is empty.
    pub(super) fn take_pair(&mut self) -> u64 {
        if self.pairs != 0 {
            let pair = self.pairs;
            self.pairs = read(pair);
            write(pair, 0);
            return pair;
        }
        let pair = self.next;
        if pair + 2 * PAGE_SIZE > self.end {
            // Only while booting: what runs is within its quota.
            let reason = format_args!("the page-table quotas do not hold the programs");
            console::end_machine_because(ExitCode::BadBoot, reason);
        }
        self.next += 2 * PAGE_SIZE;
        pair
    }

    /// Takes a pair back of which the first frame is all zero. What nodes hold does not matter while there is no entry before them.
    pub(super) fn put_pair_back(&mut self, pair: u64) {
        write(pair, self.pairs);
        self.pairs = pair;
    }
}
