//! Runs of pages or frames, by number: what is free.

use alloc::collections::BTreeMap;

/// Disjoint runs: first number to count.
#[derive(Debug, Default)]
pub struct Runs(BTreeMap<u64, u64>);

impl Runs {
    /// None.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Takes the first `count` in a row.
    pub fn take(&mut self, count: u64) -> Option<u64> {
        let (&first, &length) = self.0.iter().find(|&(_, &length)| length >= count)?;
        self.0.remove(&first);
        if length > count {
            self.0.insert(first + count, length - count);
        }
        Some(first)
    }

    /// Adds a run, joined with its neighbours where `may_join` says so of the numbers on both sides of a border.
    pub fn add(&mut self, first: u64, count: u64, may_join: impl Fn(u64, u64) -> bool) {
        let mut run = (first, count);
        if let Some((&before, &length)) = self.0.range(..first).next_back()
            && before + length == first
            && may_join(first - 1, first)
        {
            run = (before, length + count);
        }
        let end = first + count;
        if let Some(&length) = self.0.get(&end)
            && may_join(end - 1, end)
        {
            self.0.remove(&end);
            run.1 += length;
        }
        self.0.insert(run.0, run.1);
    }

    /// Takes away whatever of `first..end` is there; what it was.
    pub fn remove(&mut self, first: u64, end: u64) -> BTreeMap<u64, u64> {
        let mut removed = BTreeMap::new();
        while let Some((&start, &length)) = self.0.range(..end).next_back()
            && start + length > first
        {
            self.0.remove(&start);
            if start < first {
                self.0.insert(start, first - start);
            }
            if start + length > end {
                self.0.insert(end, start + length - end);
            }
            let from = start.max(first);
            removed.insert(from, (start + length).min(end) - from);
        }
        removed
    }
}
