//! DMA rights in the ledger: which frames are in a domain, so that they cannot be given back.

use exo_abi::address::BLOCK_ORDER;
use exo_abi::frame::BlockState;
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::Ledger;

impl Ledger<'_> {
    /// Whether `holder` may put these frames into its domain with `rights`.
    pub fn check_dma_map(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Result<(), Error> {
        if rights == Rights::NONE || rights.contains(Rights::EXECUTE) {
            return Err(Error::BadArgument);
        }
        let write = Rights(rights.0 & Rights::WRITE.0);
        self.check_dma_frames(holder, capability, first, count, write)?;
        let environment = self.environment(holder)?;
        if environment.dma_mappings >= environment.dma_mappings_quota {
            Err(Error::Quota)
        } else {
            Ok(())
        }
    }

    fn check_dma_frames(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Result<(), Error> {
        let entry = self.capability(holder, capability)?;
        if !matches!(
            Kind::from_number(entry.kind),
            Some(Kind::Frames | Kind::Blocks)
        ) {
            return Err(Error::WrongKind);
        }
        if u32::from(entry.rights) & rights.0 != rights.0 {
            return Err(Error::NotPermitted);
        }
        if count == 0 {
            return Err(Error::BadCount);
        }
        let inside = first
            .checked_sub(entry.first)
            .and_then(|offset| offset.checked_add(count))
            .is_some_and(|end| end <= entry.count);
        if inside {
            Ok(())
        } else {
            Err(Error::OutOfRange)
        }
    }

    /// Records frames as in the holder's domain, after [`Self::check_dma_map`].
    pub fn commit_dma_map(
        &mut self,
        holder: EnvironmentId,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Capability {
        self.change_dma(first, count, |old, change| old.saturating_add(change));
        if let Some(environment) = self.environment_mut(holder) {
            environment.dma_mappings = environment.dma_mappings.saturating_add(1);
        }
        self.add_capability(holder, Kind::Dma, first, count, rights)
    }

    /// Records frames as out of it.
    pub(crate) fn remove_dma(&mut self, holder: EnvironmentId, first: u64, count: u64) {
        self.change_dma(first, count, |old, change| old.saturating_sub(change));
        if let Some(environment) = self.environment_mut(holder) {
            environment.dma_mappings = environment.dma_mappings.saturating_sub(1);
        }
    }

    /// Whole blocks change once per block, not once per frame.
    fn change_dma(&mut self, first: u64, count: u64, change: impl Fn(u32, u32) -> u32) {
        let end = first.saturating_add(count);
        let mut frame = first;
        while frame < end {
            let block_end = ((frame >> BLOCK_ORDER).saturating_add(1)) << BLOCK_ORDER;
            let next = block_end.min(end);
            let here = next.saturating_sub(frame) as u32;
            let Some(block) = self.tables.blocks.get_mut((frame >> BLOCK_ORDER) as usize) else {
                return;
            };
            if block.state == BlockState::Whole as u8 {
                block.dma = change(block.dma, here);
            } else {
                for entry in self
                    .tables
                    .frames
                    .get_mut(frame as usize..next as usize)
                    .unwrap_or_default()
                {
                    entry.dma = change(u32::from(entry.dma), 1) as u16;
                }
            }
            frame = next;
        }
    }
}
