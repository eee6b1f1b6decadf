//! Runs of pages or frames, by number: what is free.

use alloc::collections::{BTreeMap, BTreeSet};

/// Disjoint runs.
#[derive(Debug, Default)]
pub struct Runs {
    /// First number to count.
    by_start: BTreeMap<u64, u64>,
    /// Count and first number, so that the smallest run that is large enough is found at once.
    by_size: BTreeSet<(u64, u64)>,
    /// Sum of all counts.
    total: u64,
}

impl Runs {
    /// None.
    pub const fn new() -> Self {
        Self {
            by_start: BTreeMap::new(),
            by_size: BTreeSet::new(),
            total: 0,
        }
    }

    fn insert(&mut self, first: u64, count: u64) {
        if count != 0 {
            self.by_start.insert(first, count);
            self.by_size.insert((count, first));
            self.total += count;
        }
    }

    fn forget(&mut self, first: u64, count: u64) {
        self.by_start.remove(&first);
        self.by_size.remove(&(count, first));
        self.total -= count;
    }

    /// Takes `count` in a row, from the smallest run that has so many: large ones stay whole.
    pub fn take(&mut self, count: u64) -> Option<u64> {
        let &(length, first) = self.by_size.range((count, 0)..).next()?;
        self.forget(first, length);
        self.insert(first + count, length - count);
        Some(first)
    }

    /// Takes `count` in a row, the first of which is a multiple of `count`.
    pub fn take_aligned(&mut self, count: u64) -> Option<u64> {
        let mut large = self.by_size.range((count, 0)..);
        let (length, first, place) = large.find_map(|&(length, first)| {
            let place = first.next_multiple_of(count);
            (place + count <= first + length).then_some((length, first, place))
        })?;
        self.forget(first, length);
        self.insert(first, place - first);
        self.insert(place + count, first + length - place - count);
        Some(place)
    }

    /// Adds a run, joined with its neighbours where `may_join` says so of the numbers on both sides of a border.
    pub fn add(&mut self, first: u64, count: u64, may_join: impl Fn(u64, u64) -> bool) {
        let mut run = (first, count);
        if let Some((&before, &length)) = self.by_start.range(..first).next_back()
            && before + length == first
            && may_join(first - 1, first)
        {
            self.forget(before, length);
            run = (before, length + count);
        }
        let end = first + count;
        if let Some(&length) = self.by_start.get(&end)
            && may_join(end - 1, end)
        {
            self.forget(end, length);
            run.1 += length;
        }
        self.insert(run.0, run.1);
    }

    /// Those that lie in `first..end`, as far as they do.
    pub fn within(&self, first: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
        let before = self.by_start.range(..first).next_back();
        before
            .into_iter()
            .chain(self.by_start.range(first..end))
            .filter_map(move |(&start, &length)| {
                let from = start.max(first);
                let count = (start + length).min(end).checked_sub(from)?;
                (count != 0).then_some((from, count))
            })
    }

    /// Takes away whatever of `first..end` is there; what it was.
    pub fn remove(&mut self, first: u64, end: u64) -> BTreeMap<u64, u64> {
        let mut removed = BTreeMap::new();
        while let Some((&start, &length)) = self.by_start.range(..end).next_back()
            && start + length > first
        {
            self.forget(start, length);
            if start < first {
                self.insert(start, first - start);
            }
            if start + length > end {
                self.insert(end, start + length - end);
            }
            let from = start.max(first);
            removed.insert(from, (start + length).min(end) - from);
        }
        removed
    }

    /// How many there are in all.
    pub const fn count(&self) -> u64 {
        self.total
    }
}
