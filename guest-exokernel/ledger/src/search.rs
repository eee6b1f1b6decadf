//! Where free memory is: by name, or any.

use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER};
use exo_abi::frame::BlockState;
use exo_abi::{EnvironmentId, Error, Kind};

use crate::Ledger;
use crate::memory::block_of;

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

    /// Whether these frames are all free, in free or split blocks.
    fn are_frames_free(&self, first: u64, count: u64) -> bool {
        (first..first.saturating_add(count)).all(|frame| {
            self.tables
                .blocks
                .get(block_of(frame))
                .is_some_and(|block| block.state != BlockState::Whole as u8)
                && self
                    .tables
                    .frames
                    .get(frame as usize)
                    .is_some_and(|entry| entry.owner == EnvironmentId::NOBODY)
        })
    }

    /// First frame of `count` free neighbouring blocks, searched from the cursor on and once around. One pass over the
    /// blocks, however they are fragmented: whoever fragments them makes nobody wait.
    pub(crate) fn find_blocks(&self, count: u64) -> Result<u64, Error> {
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

    /// First of `count` free neighbouring frames of one block: where the cursor is, else in any split block, else in a free block.
    pub(crate) fn find_frames(&self, count: u64) -> Result<u64, Error> {
        if let Some(first) =
            self.find_in_block(block_of(self.frame_cursor) as u64, self.frame_cursor, count)
        {
            return Ok(first);
        }
        for (index, block) in self.tables.blocks.iter().enumerate() {
            let room = BLOCK_FRAMES.saturating_sub(u64::from(block.used));
            if block.state == BlockState::Split as u8
                && room >= count
                && let Some(first) = self.find_in_block(index as u64, 0, count)
            {
                return Ok(first);
            }
        }
        self.find_blocks(1)
    }

    /// First of `count` free neighbouring frames in split block `block`, not before frame `from`.
    fn find_in_block(&self, block: u64, from: u64, count: u64) -> Option<u64> {
        let state = self.tables.blocks.get(block as usize)?.state;
        if state != BlockState::Split as u8 || !self.is_whole_block(block) {
            return None;
        }
        let start = (block << BLOCK_ORDER).max(from);
        let end = block.checked_add(1)? << BLOCK_ORDER;
        let mut run = 0u64;
        for frame in start..end {
            let free = self.tables.frames.get(frame as usize)?.owner == EnvironmentId::NOBODY;
            run = if free { run.saturating_add(1) } else { 0 };
            if run == count {
                return frame.checked_add(1)?.checked_sub(count);
            }
        }
        None
    }
}
