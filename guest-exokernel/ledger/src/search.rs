//! Where free memory is: by name, or any.

use core::ops::Range;

use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER};
use exo_abi::frame::BlockState;
use exo_abi::{EnvironmentId, Error, Kind};

use crate::Ledger;
use crate::memory::{Colour, block_of, end_of_block};

/// How far from the cursor split blocks are looked for, while there are free ones.
const NEAR_BLOCKS: u64 = 32;
/// How many of them are looked into.
const SCANNED_BLOCKS: u64 = 4;

impl Ledger<'_> {
    /// Checks frames that were asked for by name: memory, then free.
    pub(crate) fn check_named(&self, kind: Kind, first: u64, frames: u64) -> Result<u64, Error> {
        if !self.is_memory(first, frames) {
            return Err(Error::OutOfRange);
        }
        let free = if kind == Kind::Blocks {
            self.are_blocks_free(first, frames)
        } else {
            self.are_frames_free(first, frames)
        };
        if free { Ok(first) } else { Err(Error::Taken) }
    }

    /// Whether the blocks of these frames are all free.
    fn are_blocks_free(&self, first: u64, frames: u64) -> bool {
        let start = block_of(first);
        let Some(end) = start.checked_add((frames >> BLOCK_ORDER) as usize) else {
            return false;
        };
        self.tables.blocks.get(start..end).is_some_and(|blocks| {
            blocks
                .iter()
                .all(|block| block.state == BlockState::Free as u8)
        })
    }

    /// Whether these frames are all free. A free block is looked at once, a split one frame by frame.
    fn are_frames_free(&self, first: u64, count: u64) -> bool {
        let end = first.saturating_add(count);
        let mut start = first;
        while start < end {
            let next = end_of_block(start).min(end);
            let block = self.tables.blocks.get(block_of(start));
            let free = match block.and_then(|block| BlockState::from_number(block.state)) {
                Some(BlockState::Free) => true,
                Some(BlockState::Split) => {
                    let frames = self.tables.frames.get(start as usize..next as usize);
                    frames.is_some_and(|frames| {
                        frames
                            .iter()
                            .all(|entry| entry.owner == EnvironmentId::NOBODY)
                    })
                }
                Some(BlockState::Whole) | None => false,
            };
            if !free {
                return false;
            }
            start = next;
        }
        true
    }

    /// First frame of `count` free neighbouring blocks, searched from the cursor on and once around. One pass over the
    /// blocks, however they are fragmented: whoever fragments them makes nobody wait.
    pub(crate) fn find_blocks(&self, count: u64) -> Result<u64, Error> {
        if self.tables.summary.free_blocks < count {
            return Err(Error::Exhausted);
        }
        let total = self.tables.blocks.len() as u64;
        let cursor = self.block_cursor.min(total);
        // Runs that begin before the cursor may reach beyond it.
        let again = cursor.saturating_add(count).min(total);
        self.find_blocks_in(cursor, total, count)
            .or_else(|| self.find_blocks_in(0, again, count))
            .ok_or(Error::Exhausted)
    }

    /// First frame of `count` free neighbouring blocks in blocks `start..end`.
    fn find_blocks_in(&self, start: u64, end: u64, count: u64) -> Option<u64> {
        let mut run = 0u64;
        for block in start..end {
            let free = self.tables.blocks.get(block as usize)?.state == BlockState::Free as u8
                && self.is_whole_block(block);
            run = if free { run.saturating_add(1) } else { 0 };
            if run == count {
                let first = block.checked_add(1)?.checked_sub(count)?;
                return Some(first << BLOCK_ORDER);
            }
        }
        None
    }

    /// First of `count` free neighbouring frames of one block, the first of them of this colour: where the cursor is, else in a
    /// split block near it, else in a free block, else in any. Cost: but for the last, bounded, however memory is fragmented.
    pub(crate) fn find_frames(&self, count: u64, colour: Colour) -> Result<u64, Error> {
        // The frame at the cursor itself, most of the time.
        if count == 1 && colour.is_of(self.frame_cursor) && self.is_free_in_split(self.frame_cursor)
        {
            return Ok(self.frame_cursor);
        }
        self.search_frames(count, colour)
    }

    /// Whether a frame of a split block is free, and its block can be had by no particular name.
    fn is_free_in_split(&self, frame: u64) -> bool {
        let block = self.tables.blocks.get(block_of(frame));
        let entry = self.tables.frames.get(frame as usize);
        block.is_some_and(|block| block.state == BlockState::Split as u8)
            && entry.is_some_and(|entry| entry.owner == EnvironmentId::NOBODY)
            && self.is_whole_block(frame >> BLOCK_ORDER)
    }

    /// The same as [`Self::find_frames`].
    #[inline(never)]
    fn search_frames(&self, count: u64, colour: Colour) -> Result<u64, Error> {
        let here = self.frame_cursor >> BLOCK_ORDER;
        if let Some(first) = self.find_in_block(here, self.frame_cursor, count, colour) {
            return Ok(first);
        }
        let near = here.saturating_sub(NEAR_BLOCKS)..here.saturating_add(NEAR_BLOCKS);
        if let Some(first) = self.find_in_split(near, SCANNED_BLOCKS, count, colour) {
            return Ok(first);
        }
        let fits = colour.first.saturating_add(count) <= BLOCK_FRAMES;
        if fits && let Ok(block) = self.find_blocks(1) {
            return Ok(block.saturating_add(colour.first));
        }
        let all = 0..self.tables.blocks.len() as u64;
        self.find_in_split(all, u64::MAX, count, colour)
            .ok_or(Error::Exhausted)
    }

    /// The same in the split blocks among these, of which it looks into `budget`.
    fn find_in_split(
        &self,
        blocks: Range<u64>,
        mut budget: u64,
        count: u64,
        colour: Colour,
    ) -> Option<u64> {
        for index in blocks {
            let block = self.tables.blocks.get(index as usize)?;
            let room = BLOCK_FRAMES.saturating_sub(u64::from(block.used));
            if block.state != BlockState::Split as u8 || room < count {
                continue;
            }
            budget = budget.checked_sub(1)?;
            let found = self.find_in_block(index, index << BLOCK_ORDER, count, colour);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The same in split block `block`, not before frame `from`, which is in it.
    fn find_in_block(&self, block: u64, from: u64, count: u64, colour: Colour) -> Option<u64> {
        let state = self.tables.blocks.get(block as usize)?.state;
        if state != BlockState::Split as u8 || !self.is_whole_block(block) {
            return None;
        }
        let end = block.checked_add(1)? << BLOCK_ORDER;
        let frames = self.tables.frames.get(from as usize..end as usize)?;
        let mut start = from;
        for (number, entry) in (from..end).zip(frames) {
            if entry.owner != EnvironmentId::NOBODY {
                start = number.checked_add(1)?;
                continue;
            }
            let first = number.checked_add(1)?.saturating_sub(count);
            if first >= start && colour.is_of(first) {
                return Some(first);
            }
        }
        None
    }
}
