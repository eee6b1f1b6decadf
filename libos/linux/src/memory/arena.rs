//! The arena: addresses of the program range behind which memory is mapped before it is asked for, so that having and giving back private
//! memory takes neither a fault nor a call of the kernel.

use alloc::collections::BTreeMap;

use exo_abi::address::PAGE_SIZE;

use super::runs::Runs;

/// Pages that the arena grows by at least.
const GROWTH_PAGES: u64 = 64;

/// Pages of the arena, by number of the page.
#[derive(Debug)]
pub struct Arena {
    /// Those that nobody has and that read as zero.
    clean: Runs,
    /// Those that nobody has any more.
    used: Runs,
    /// Frame of the first page to count of pages, by the number of the first page.
    frames: BTreeMap<u64, (u64, u64)>,
    /// Where it grows.
    next: u64,
}

impl Arena {
    /// An arena without memory, which grows from an address upwards.
    pub const fn new(start: u64) -> Self {
        Self {
            clean: Runs::new(),
            used: Runs::new(),
            frames: BTreeMap::new(),
            next: start / PAGE_SIZE,
        }
    }

    /// Has it grow where another does, so that it takes no addresses that the other has.
    pub fn skip_to(&mut self, other: &Self) {
        self.next = other.next;
    }

    /// Takes pages that are there: the first address, and whether they read as zero.
    pub fn take(&mut self, pages: u64) -> Option<(u64, bool)> {
        let clean = self.clean.take(pages).map(|first| (first, true));
        let found = clean.or_else(|| self.used.take(pages).map(|first| (first, false)));
        found.map(|(first, is_clean)| (first * PAGE_SIZE, is_clean))
    }

    /// Where and by how many pages it has to grow for `pages`.
    pub fn growth(&self, pages: u64) -> (u64, u64) {
        (self.next * PAGE_SIZE, pages.next_multiple_of(GROWTH_PAGES))
    }

    /// Notes that it has grown: pages at `start` are mapped to frames from `first` on, and nobody has them.
    pub fn add(&mut self, start: u64, first: u64, pages: u64) {
        let page = start / PAGE_SIZE;
        self.back(start, first, pages);
        self.clean.add(page, pages, |_, _| true);
        self.next = self.next.max(page + pages);
    }

    /// Notes which frames are behind pages that somebody has.
    pub fn back(&mut self, start: u64, first: u64, pages: u64) {
        self.frames.insert(start / PAGE_SIZE, (first, pages));
    }

    /// Gives pages back, in whatever state.
    pub fn free(&mut self, start: u64, pages: u64) {
        self.used.add(start / PAGE_SIZE, pages, |_, _| true);
    }

    /// The addresses and frames of the pages of a range that have memory.
    pub fn pages(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
        let (first, end) = (start / PAGE_SIZE, end / PAGE_SIZE);
        let before = self.frames.range(..first).next_back();
        before
            .into_iter()
            .chain(self.frames.range(first..end))
            .flat_map(move |(&page, &(frame, pages))| {
                let from = page.max(first);
                (from..(page + pages).min(end))
                    .map(move |number| (number * PAGE_SIZE, frame + number - page))
            })
    }

    /// Takes all memory away: the frames, and how many from each on.
    pub fn take_all(&mut self) -> impl Iterator<Item = (u64, u64)> + use<> {
        self.clean = Runs::new();
        self.used = Runs::new();
        core::mem::take(&mut self.frames).into_values()
    }

    /// Takes a range out of the arena for good, whoever has it: the addresses and frames of its pages.
    pub fn remove(&mut self, start: u64, end: u64) -> BTreeMap<u64, u64> {
        let pages: BTreeMap<u64, u64> = self.pages(start, end).collect();
        let (first, end) = (start / PAGE_SIZE, end / PAGE_SIZE);
        self.clean.remove(first, end);
        self.used.remove(first, end);
        let touched: alloc::vec::Vec<_> = self
            .frames
            .range(..end)
            .rev()
            .take_while(|&(&page, &(_, pages))| page + pages > first)
            .map(|(&page, &(frame, pages))| (page, frame, pages))
            .collect();
        for (page, frame, pages) in touched {
            self.frames.remove(&page);
            if page < first {
                self.frames.insert(page, (frame, first - page));
            }
            if page + pages > end {
                self.frames
                    .insert(end, (frame + end - page, page + pages - end));
            }
        }
        pages
    }
}
