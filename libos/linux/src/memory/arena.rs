//! The arena: addresses of the program range behind which memory is mapped before it is asked for, so that having and giving back private
//! memory takes neither a fault nor a call of the kernel.
//!
//! It is made of blocks of 2 MiB, each mapped by one entry of a page directory, readable and writable. Whoever needs other rights for a
//! part of a block takes the whole block out.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use exo_abi::address::{BLOCK_FRAMES, BLOCK_SIZE, PAGE_SIZE};

use super::runs::Runs;

/// Blocks of a process, by their address divided by their size, and the pages in them that nobody has.
#[derive(Debug)]
pub struct Arena {
    /// Free pages that read as zero, by number of the page.
    clean: Runs,
    /// Other free pages.
    used: Runs,
    /// First frame of each block.
    blocks: BTreeMap<u64, u64>,
    /// The block where it grows.
    next: u64,
}

impl Arena {
    /// An arena without memory, which grows from an address upwards.
    pub const fn new(start: u64) -> Self {
        Self {
            clean: Runs::new(),
            used: Runs::new(),
            blocks: BTreeMap::new(),
            next: start / BLOCK_SIZE,
        }
    }

    /// An arena without memory that grows where another does.
    pub const fn beside(other: &Self) -> Self {
        Self::new(other.next * BLOCK_SIZE)
    }

    /// Takes pages that are there: the first address, and whether they read as zero.
    pub fn take(&mut self, pages: u64) -> Option<(u64, bool)> {
        let used = self.used.take(pages).map(|first| (first, false));
        let found = used.or_else(|| self.clean.take(pages).map(|first| (first, true)));
        found.map(|(first, is_clean)| (first * PAGE_SIZE, is_clean))
    }

    /// Takes pages at an address, if they are free: whether they read as zero.
    pub fn take_at(&mut self, start: u64, pages: u64) -> Option<bool> {
        let (first, end) = (start / PAGE_SIZE, start / PAGE_SIZE + pages);
        for (runs, is_clean) in [(&mut self.used, false), (&mut self.clean, true)] {
            if runs.within(first, end).eq([(first, pages)]) {
                runs.remove(first, end);
                return Some(is_clean);
            }
        }
        None
    }

    /// The block where it grows next; each is told only once.
    pub fn take_place(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Notes that a block has been mapped to frames from `first` on, of which somebody has all.
    pub fn lend(&mut self, block: u64, first: u64) {
        self.blocks.insert(block, first);
    }

    /// Gives pages back.
    pub fn free(&mut self, start: u64, pages: u64, is_clean: bool) {
        let runs = match is_clean {
            true => &mut self.clean,
            false => &mut self.used,
        };
        runs.add(start / PAGE_SIZE, pages, |_, _| true);
    }

    /// Takes a block that is mapped and that nobody has.
    pub fn adopt(&mut self, block: u64, first: u64) {
        self.lend(block, first);
        self.free(block * BLOCK_SIZE, BLOCK_FRAMES, false);
        self.next = self.next.max(block + 1);
    }

    /// The first frame of a block.
    pub fn frame_of(&self, block: u64) -> Option<u64> {
        self.blocks.get(&block).copied()
    }

    /// The blocks that lie in a range, as far as they do: block and first frame.
    pub fn blocks(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
        let range = start / BLOCK_SIZE..end.div_ceil(BLOCK_SIZE);
        self.blocks
            .range(range)
            .map(|(&block, &first)| (block, first))
    }

    /// The free pages of a block: first address and how many.
    pub fn free_pages(&self, block: u64) -> impl Iterator<Item = (u64, u64)> {
        let first = block * BLOCK_FRAMES;
        let runs = [&self.clean, &self.used].into_iter();
        runs.flat_map(move |runs| runs.within(first, first + BLOCK_FRAMES))
            .map(|(first, count)| (first * PAGE_SIZE, count))
    }

    /// Takes a block out, whoever has its pages: its first frame.
    pub fn remove(&mut self, block: u64) -> Option<u64> {
        let first = block * BLOCK_FRAMES;
        self.clean.remove(first, first + BLOCK_FRAMES);
        self.used.remove(first, first + BLOCK_FRAMES);
        self.blocks.remove(&block)
    }

    /// The blocks of a range of which nobody has a page.
    pub fn idle_blocks(&self, start: u64, end: u64) -> Vec<u64> {
        let all = self.blocks(start, end).map(|(block, _)| block);
        all.filter(|&block| {
            let free: u64 = self.free_pages(block).map(|(_, count)| count).sum();
            free == BLOCK_FRAMES
        })
        .collect()
    }

    /// Pages that nobody has.
    pub const fn free_count(&self) -> u64 {
        self.clean.count() + self.used.count()
    }

    /// Takes all blocks away: their first frames.
    pub fn take_all(&mut self) -> impl Iterator<Item = u64> + use<> {
        self.clean = Runs::new();
        self.used = Runs::new();
        core::mem::take(&mut self.blocks).into_values()
    }
}
