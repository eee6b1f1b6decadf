//! Blocks of the arena: how they come into a process's memory, and how they leave it.

use alloc::vec::Vec;
use core::iter;

use exo_abi::address::{BLOCK_FRAMES, BLOCK_SIZE, PAGE_SIZE};
use exo_rt::program_memory;

use super::region::Kind;
use super::{Memory, mapping};
use crate::errno::Result;

/// Blocks that are taken out of the arena before it is asked whether small mappings should come out of it at all.
const EVACUATIONS_MAX: u64 = 8;

impl Memory {
    /// Whether small mappings come out of the arena: not in a program that keeps on changing the rights of theirs.
    pub(super) const fn prefers_arena(&self) -> bool {
        self.evacuations < EVACUATIONS_MAX
    }

    /// Pages of the arena, zeroed.
    pub(super) fn take_arena(&mut self, bytes: u64) -> Option<u64> {
        let pages = bytes / PAGE_SIZE;
        let found = self.arena.take(pages).or_else(|| {
            let mut block = self.arena.take_place();
            while self.has_any(block * BLOCK_SIZE, BLOCK_SIZE) {
                block = self.arena.take_place();
            }
            let is_clean = self.map_block(block)?;
            self.arena.free(block * BLOCK_SIZE, BLOCK_FRAMES, is_clean);
            self.arena.take(pages)
        });
        let (start, is_clean) = found?;
        if !is_clean {
            program_memory::zero(start, bytes).ok()?;
        }
        Some(start)
    }

    /// Takes a block into the arena, in which nothing is mapped: whether it reads as zero.
    fn map_block(&mut self, block: u64) -> Option<bool> {
        let run = self
            .frames
            .borrow_mut()
            .take_block(&mut self.capabilities)?;
        let capability = self.capabilities.of(run.first);
        if mapping::map_block(block * BLOCK_SIZE, run.first, capability).is_err() {
            self.free_frames(run.first, BLOCK_FRAMES);
            return None;
        }
        self.arena.lend(block, run.first);
        Some(run.is_clean)
    }

    /// Puts a block behind the page of a lazy region, if the region holds all of its addresses and no page there yet, and a whole block is
    /// likely to be used; else it says false and has done nothing.
    pub(super) fn bring_block(&mut self, page: u64) -> bool {
        let start = page / BLOCK_SIZE * BLOCK_SIZE;
        let end = start + BLOCK_SIZE;
        let fits = self.region(start).is_some_and(|(_, region)| {
            region.is_dense && region.end >= end && region.pages.range(start..end).next().is_none()
        });
        if !fits || !self.frames.borrow().has_plenty() {
            return false;
        }
        let Some(is_clean) = self.map_block(start / BLOCK_SIZE) else {
            return false;
        };
        self.cut(start);
        self.cut(end);
        if let Some(region) = self.regions.get_mut(&start) {
            region.kind = Kind::Arena;
        }
        is_clean || program_memory::zero(start, BLOCK_SIZE).is_ok()
    }

    /// Takes the blocks that a range touches out of the arena. What the program has in them is mapped page by page, when it is touched.
    pub(super) fn evacuate(&mut self, start: u64, end: u64) -> Result<()> {
        let blocks: Vec<_> = self.arena.blocks(start, end).collect();
        for (block, first) in blocks {
            let from = block * BLOCK_SIZE;
            let frame = |address: u64| first + (address - from) / PAGE_SIZE;
            mapping::unmap_blocks(iter::once(from))?;
            self.evacuations += 1;
            self.cut(from);
            self.cut(from + BLOCK_SIZE);
            let free: Vec<_> = self.arena.free_pages(block).collect();
            self.arena.remove(block);
            for (address, pages) in free {
                self.free_frames(frame(address), pages);
            }
            for (&start, region) in self.regions.range_mut(from..from + BLOCK_SIZE) {
                let pages = (start..region.end).step_by(PAGE_SIZE as usize);
                region.kind = Kind::Lazy;
                region.pages = pages.map(|page| (page, frame(page))).collect();
            }
        }
        Ok(())
    }

    /// Gives back the blocks inside a range that the program has as a whole: their addresses are lazy again.
    pub(super) fn give_blocks(&mut self, start: u64, end: u64) -> Result<()> {
        let inner = start.next_multiple_of(BLOCK_SIZE)..end / BLOCK_SIZE * BLOCK_SIZE;
        let whole: Vec<_> = self
            .arena
            .blocks(inner.start, inner.end)
            .filter(|&(block, _)| self.arena.free_pages(block).next().is_none())
            .collect();
        mapping::unmap_blocks(whole.iter().map(|(block, _)| block * BLOCK_SIZE))?;
        for (block, first) in whole {
            let from = block * BLOCK_SIZE;
            self.cut(from);
            self.cut(from + BLOCK_SIZE);
            self.arena.remove(block);
            self.free_frames(first, BLOCK_FRAMES);
            for (_, region) in self.regions.range_mut(from..from + BLOCK_SIZE) {
                region.kind = Kind::Lazy;
            }
        }
        Ok(())
    }

    /// Gives back the blocks of a range in which the program has nothing.
    pub(super) fn give_idle_blocks(&mut self, start: u64, end: u64) {
        let idle = self.arena.idle_blocks(start, end);
        if mapping::unmap_blocks(idle.iter().map(|block| block * BLOCK_SIZE)).is_err() {
            return;
        }
        for block in idle {
            if let Some(first) = self.arena.remove(block) {
                self.free_frames(first, BLOCK_FRAMES);
            }
        }
    }
}
