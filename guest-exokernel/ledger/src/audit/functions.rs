//! Devices: owners of functions against capabilities, and counts of DMA mappings against DMA capabilities.

use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER};
use exo_abi::capability::CapabilityEntry;
use exo_abi::frame::BlockState;
use exo_abi::{EnvironmentId, Kind};

use super::Inconsistency;
use crate::Ledger;

/// How many frames of `first..first + count` `entry` names.
fn frames_within(entry: &CapabilityEntry, first: u64, count: u64) -> u64 {
    let start = entry.first.max(first);
    let end = entry.first.saturating_add(entry.count);
    end.min(first.saturating_add(count)).saturating_sub(start)
}

impl Ledger<'_> {
    /// A function has the owner that a capability says, and only an owner has it bound and mapped.
    pub(super) fn audit_functions(&self) -> Result<(), Inconsistency> {
        let function_kind = Kind::Function as u8;
        for (index, function) in (0u32..).zip(self.tables.functions.iter()) {
            let holder = self
                .used_slots()
                .find(|(_, entry)| entry.kind == function_kind && entry.first == u64::from(index))
                .map(|(_, entry)| entry.holder);
            let owner = match function.owner {
                EnvironmentId::NOBODY | EnvironmentId::KERNEL => None,
                owner => Some(owner),
            };
            let bound = match function.bound {
                0 => function.mappings == 0,
                1 => owner.is_some(),
                _ => false,
            };
            if owner != holder || !bound {
                return Err(Inconsistency::Function(index));
            }
        }
        let count = self.tables.functions.len() as u64;
        match self
            .used_slots()
            .find(|(_, entry)| entry.kind == function_kind && entry.first >= count)
        {
            Some((_, entry)) => Err(Inconsistency::Function(entry.first as u32)),
            None => Ok(()),
        }
    }

    /// Frames are in domains as often as DMA capabilities say, and those name frames of their holder.
    pub(super) fn audit_dma(&self) -> Result<(), Inconsistency> {
        let dma = self
            .used_slots()
            .filter(|(_, entry)| entry.kind == Kind::Dma as u8);
        for (_, entry) in dma.clone() {
            for frame in entry.first..entry.first.saturating_add(entry.count) {
                if self.owner(frame) != entry.holder {
                    return Err(Inconsistency::ForeignDma(frame));
                }
            }
        }
        let covering = |first, count| -> u64 {
            dma.clone()
                .map(|(_, entry)| frames_within(entry, first, count))
                .sum()
        };
        for (index, block) in self.tables.blocks.iter().enumerate() {
            let first = (index as u64) << BLOCK_ORDER;
            let expected = covering(first, BLOCK_FRAMES);
            let mut counted = u64::from(block.dma);
            if block.state == BlockState::Split as u8 {
                for (number, frame) in (first..).zip(self.frames_of_block(first)) {
                    // Frames in no domain are right if the sum of the block is.
                    if frame.dma != 0 && u64::from(frame.dma) != covering(number, 1) {
                        return Err(Inconsistency::DmaCount(number));
                    }
                    counted = counted.saturating_add(u64::from(frame.dma));
                }
            }
            if counted != expected {
                return Err(Inconsistency::DmaCount(first));
            }
        }
        Ok(())
    }
}
