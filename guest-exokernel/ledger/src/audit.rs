//! Recounts the ledger from first principles. Linear in everything: for tests, never for a call.

use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER};
use exo_abi::frame::BlockState;
use exo_abi::{EnvironmentId, Kind};

use crate::Ledger;

/// What does not add up, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inconsistency {
    /// A capability names a frame that its holder does not own.
    ForeignFrame(u64),
    /// A frame has an owner, and no capability names it.
    UnnamedFrame(u64),
    /// The number of used frames of a block is wrong.
    BlockCount(u64),
    /// A free frame or block is mapped or in a domain.
    FreeInUse(u64),
    /// An environment's count of frames or capabilities is wrong, or beyond its quota.
    EnvironmentCount(u16),
    /// The summary is wrong.
    Summary,
}

impl Ledger<'_> {
    /// Checks every invariant of the tables against every other.
    pub fn audit(&self) -> Result<(), Inconsistency> {
        self.audit_blocks()?;
        self.audit_capabilities()?;
        self.audit_environments()
    }

    fn audit_blocks(&self) -> Result<(), Inconsistency> {
        let (mut free, mut split_used) = (0u64, 0u64);
        for (index, block) in self.tables.blocks.iter().enumerate() {
            let first = (index as u64) << BLOCK_ORDER;
            let end = first.saturating_add(BLOCK_FRAMES);
            let frames = self
                .tables
                .frames
                .get(first as usize..end as usize)
                .unwrap_or_default();
            let used = frames
                .iter()
                .filter(|frame| frame.owner != EnvironmentId::NOBODY)
                .count() as u64;
            let idle = |frame: &exo_abi::frame::FrameEntry| {
                frame.owner != EnvironmentId::NOBODY || (frame.mappings == 0 && frame.dma == 0)
            };
            if !frames.iter().all(idle) {
                return Err(Inconsistency::FreeInUse(first));
            }
            let split = block.state == BlockState::Split as u8;
            if u64::from(block.used) != used || split != (used != 0) {
                return Err(Inconsistency::BlockCount(first));
            }
            split_used = split_used.saturating_add(used);
            if block.state == BlockState::Free as u8 {
                if block.mappings != 0 || block.dma != 0 || block.owner != EnvironmentId::NOBODY {
                    return Err(Inconsistency::FreeInUse(first));
                }
                free = free.saturating_add(u64::from(self.is_memory(first, BLOCK_FRAMES)));
            }
        }
        let summary = &self.tables.summary;
        if summary.free_blocks != free || summary.split_frames_used != split_used {
            return Err(Inconsistency::Summary);
        }
        Ok(())
    }

    fn audit_capabilities(&self) -> Result<(), Inconsistency> {
        let mut named = 0u64;
        for entry in self
            .tables
            .capabilities
            .iter()
            .filter(|entry| entry.holder != EnvironmentId::NOBODY)
        {
            if !matches!(
                Kind::from_number(entry.kind),
                Some(Kind::Frames | Kind::Blocks)
            ) {
                continue;
            }
            for frame in entry.first..entry.first.saturating_add(entry.count) {
                if self.owner(frame) != entry.holder {
                    return Err(Inconsistency::ForeignFrame(frame));
                }
            }
            named = named.saturating_add(entry.count);
        }
        // Ranges of capabilities do not overlap, so equal sums mean that every owned frame has its capability.
        let owned: u64 = self
            .tables
            .environments
            .iter()
            .map(|entry| u64::from(entry.frames))
            .sum();
        if owned != named {
            Err(Inconsistency::UnnamedFrame(owned.abs_diff(named)))
        } else {
            Ok(())
        }
    }

    fn audit_environments(&self) -> Result<(), Inconsistency> {
        let mut used = 0u64;
        for (index, environment) in self.tables.environments.iter().enumerate() {
            let id = EnvironmentId((index as u16).saturating_add(1));
            let whole = self
                .tables
                .blocks
                .iter()
                .filter(|block| block.owner == id)
                .count() as u64;
            let single = self
                .tables
                .frames
                .iter()
                .filter(|frame| frame.owner == id)
                .count() as u64;
            let frames = whole.saturating_mul(BLOCK_FRAMES).saturating_add(single);
            let held = self
                .tables
                .capabilities
                .iter()
                .filter(|entry| entry.holder == id)
                .count() as u64;
            let consistent = frames == u64::from(environment.frames)
                && held == u64::from(environment.capabilities)
                && environment.frames <= environment.frames_quota
                && environment.capabilities <= environment.capabilities_quota
                && environment.dma_mappings <= environment.dma_mappings_quota;
            if !consistent {
                return Err(Inconsistency::EnvironmentCount(id.0));
            }
            used = used.saturating_add(held);
        }
        if used == self.tables.summary.capabilities_used {
            Ok(())
        } else {
            Err(Inconsistency::Summary)
        }
    }
}
