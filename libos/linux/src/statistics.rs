//! What `--stats` tells of a program's calls.

use alloc::collections::BTreeMap;

use crate::{calls, message};

/// Counts of one run.
#[derive(Debug, Default)]
pub struct Statistics {
    /// System calls in all.
    pub calls: u64,
    /// Those that came by a trap.
    pub traps: u64,
    /// Call sites rewritten when code was loaded.
    pub rewritten: u64,
    /// Call sites found after a first trap, and rewritten then.
    pub found_late: u64,
    /// Call sites left as they are, because they cannot be rewritten safely.
    pub left: u64,
    /// Calls that are not implemented: number to count.
    pub unknown: BTreeMap<u64, u64>,
}

impl Statistics {
    /// Adds the counts of another process.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.traps += other.traps;
        self.rewritten += other.rewritten;
        self.found_late += other.found_late;
        self.left += other.left;
        for (&number, count) in &other.unknown {
            *self.unknown.entry(number).or_default() += count;
        }
    }

    /// Prints all counts.
    pub fn print(&self) {
        message!(
            "linux: {} calls, {} by a trap; sites: {} rewritten, {} found late, {} left",
            self.calls,
            self.traps,
            self.rewritten,
            self.found_late,
            self.left
        );
        for (number, count) in &self.unknown {
            let name = calls::names::of(*number).unwrap_or("unknown to Linux too");
            message!("linux: call {number} ({name}) is not implemented: ENOSYS {count} times");
        }
    }
}
