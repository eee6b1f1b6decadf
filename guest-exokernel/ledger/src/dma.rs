//! DMA rights in the ledger: which frames are in a domain, so that they cannot be given back.

use exo_abi::address::BLOCK_ORDER;
use exo_abi::frame::BlockState;
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::Ledger;
use crate::memory::block_of;

/// Cuts frames `first..first + count` at block boundaries: start and end of each piece.
fn pieces(first: u64, count: u64) -> impl Iterator<Item = (u64, u64)> {
    let end = first.saturating_add(count);
    let mut start = first;
    core::iter::from_fn(move || {
        let boundary = (start >> BLOCK_ORDER).saturating_add(1) << BLOCK_ORDER;
        let piece = (start, boundary.min(end));
        start = piece.1;
        (piece.0 < end).then_some(piece)
    })
}

impl Ledger<'_> {
    /// Whether `holder` may put these frames into its domain with `rights`. Order of checks: rights, capability, its kind,
    /// its rights, count, range, quotas, counters.
    pub fn check_dma_map(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Result<(), Error> {
        if rights == Rights::NONE || !Rights::READ_WRITE.contains(rights) {
            return Err(Error::BadArgument);
        }
        self.check_dma_frames(holder, capability, first, count, rights)?;
        let environment = self.environment(holder)?;
        if environment.dma_mappings >= environment.dma_mappings_quota {
            return Err(Error::Quota);
        }
        self.check_capability_quota(holder)?;
        self.check_dma_counts(first, count)
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
        if !Rights(u32::from(entry.rights)).contains(rights) {
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

    /// The counters of DMA mappings must not wrap: a frame that counts as out of every domain can be given back.
    fn check_dma_counts(&self, first: u64, count: u64) -> Result<(), Error> {
        for (start, end) in pieces(first, count) {
            let block = self.tables.blocks.get(block_of(start));
            let block = block.ok_or(Error::OutOfRange)?;
            let room = if block.state == BlockState::Whole as u8 {
                u64::from(block.dma.abs_diff(u32::MAX)) >= end.saturating_sub(start)
            } else {
                self.tables
                    .frames
                    .get(start as usize..end as usize)
                    .ok_or(Error::OutOfRange)?
                    .iter()
                    .all(|frame| frame.dma != u16::MAX)
            };
            if !room {
                return Err(Error::Quota);
            }
        }
        Ok(())
    }

    /// Records frames as in the holder's domain, after [`Self::check_dma_map`].
    pub fn commit_dma_map(
        &mut self,
        holder: EnvironmentId,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Capability {
        self.change_dma(holder, first, count, u32::saturating_add);
        if let Some(environment) = self.environment_mut(holder) {
            environment.dma_mappings = environment.dma_mappings.saturating_add(1);
        }
        self.add_capability(holder, Kind::Dma, first, count, rights)
    }

    /// Records frames as out of it.
    pub(crate) fn remove_dma(&mut self, holder: EnvironmentId, first: u64, count: u64) {
        self.change_dma(holder, first, count, u32::saturating_sub);
        if let Some(environment) = self.environment_mut(holder) {
            environment.dma_mappings = environment.dma_mappings.saturating_sub(1);
        }
    }

    /// Whole blocks change once per block, not once per frame. What is not the holder's is left alone: a DMA right that
    /// outlived its frames must not lower the counts of who has them next.
    fn change_dma(
        &mut self,
        holder: EnvironmentId,
        first: u64,
        count: u64,
        change: impl Fn(u32, u32) -> u32,
    ) {
        for (start, end) in pieces(first, count) {
            let Some(block) = self.tables.blocks.get_mut(block_of(start)) else {
                return;
            };
            if block.state == BlockState::Whole as u8 {
                if block.owner == holder {
                    block.dma = change(block.dma, end.saturating_sub(start) as u32);
                }
                continue;
            }
            for entry in self
                .tables
                .frames
                .get_mut(start as usize..end as usize)
                .unwrap_or_default()
                .iter_mut()
                .filter(|entry| entry.owner == holder)
            {
                let dma = change(u32::from(entry.dma), 1);
                entry.dma = u16::try_from(dma).unwrap_or(u16::MAX);
            }
        }
    }
}
