//! Blocks and frames: each entry by itself, and the counts of free memory.

use exo_abi::EnvironmentId;
use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER};
use exo_abi::frame::{BlockEntry, BlockState, FrameEntry};

use super::Inconsistency;
use crate::Ledger;

impl Ledger<'_> {
    /// Checks all entries of the block and frame tables, and what the summary says of them.
    pub(super) fn audit_memory(&self) -> Result<(), Inconsistency> {
        let (mut free_blocks, mut split_frames_used) = (0u64, 0u64);
        for (index, block) in self.tables.blocks.iter().enumerate() {
            let first = (index as u64) << BLOCK_ORDER;
            let frames = self.frames_of_block(first);
            let state = BlockState::from_number(block.state).ok_or(Inconsistency::Block(first))?;
            if state == BlockState::Split {
                let used = self.audit_split(first, block, frames)?;
                split_frames_used = split_frames_used.saturating_add(used);
            } else if let Some(frame) = Self::first_written(frames) {
                return Err(Inconsistency::Frame(first.saturating_add(frame)));
            }
            let memory = self.is_whole_block(index as u64);
            match state {
                BlockState::Free if *block != BlockEntry::default() => {
                    return Err(Inconsistency::FreeInUse(first));
                }
                BlockState::Free => free_blocks = free_blocks.saturating_add(u64::from(memory)),
                BlockState::Whole => self.audit_whole(first, block)?,
                BlockState::Split => {}
            }
            // The kernel's own memory is its own whatever the memory map says.
            if !memory && state == BlockState::Whole && block.owner != EnvironmentId::KERNEL {
                return Err(Inconsistency::NoMemory(first));
            }
        }
        let summary = &self.tables.summary;
        if summary.free_blocks == free_blocks && summary.split_frames_used == split_frames_used {
            Ok(())
        } else {
            Err(Inconsistency::Summary)
        }
    }

    /// The entries of the frames of the block that begins with frame `first`.
    pub(super) fn frames_of_block(&self, first: u64) -> &[FrameEntry] {
        let end = first.saturating_add(BLOCK_FRAMES);
        self.tables
            .frames
            .get(first as usize..end as usize)
            .unwrap_or_default()
    }

    /// Position of the first entry that is not all zero.
    fn first_written(frames: &[FrameEntry]) -> Option<u64> {
        let clean = FrameEntry::default();
        let position = frames.iter().position(|frame| *frame != clean)?;
        Some(position as u64)
    }

    /// Whether `owner` can own memory.
    fn is_owner(&self, owner: EnvironmentId) -> bool {
        owner == EnvironmentId::KERNEL || self.environment(owner).is_ok()
    }

    fn audit_whole(&self, first: u64, block: &BlockEntry) -> Result<(), Inconsistency> {
        let expected = BlockEntry {
            owner: block.owner,
            state: block.state,
            mappings: block.mappings,
            ..BlockEntry::default()
        };
        let kernel_in_use = block.owner == EnvironmentId::KERNEL && block.mappings != 0;
        if *block != expected || kernel_in_use || !self.is_owner(block.owner) {
            return Err(Inconsistency::Block(first));
        }
        Ok(())
    }

    /// A split block; the answer is how many of its frames are in use.
    fn audit_split(
        &self,
        first: u64,
        block: &BlockEntry,
        frames: &[FrameEntry],
    ) -> Result<u64, Inconsistency> {
        let mut used = 0u64;
        for (number, frame) in (first..).zip(frames) {
            if frame.owner != EnvironmentId::NOBODY {
                used = used.saturating_add(1);
                if !self.is_memory(number, 1) {
                    return Err(Inconsistency::NoMemory(number));
                }
                if frame.reserved != 0 || !self.is_owner(frame.owner) {
                    return Err(Inconsistency::Frame(number));
                }
            } else if *frame != FrameEntry::default() {
                return Err(Inconsistency::FreeInUse(number));
            }
        }
        let expected = BlockEntry {
            state: block.state,
            used: block.used,
            ..BlockEntry::default()
        };
        if *block != expected || u64::from(block.used) != used || used == 0 {
            return Err(Inconsistency::Block(first));
        }
        Ok(used)
    }
}
