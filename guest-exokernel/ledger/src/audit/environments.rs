//! Environments: what each has, recounted, and its quotas.

use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER};
use exo_abi::capability::{CapabilityEntry, KIND_NUMBERS};
use exo_abi::environment::State;
use exo_abi::frame::BlockState;
use exo_abi::{EnvironmentId, Kind};

use super::Inconsistency;
use crate::{Ledger, Name};

/// Whether a capability owns frames.
fn is_frames(entry: &CapabilityEntry) -> bool {
    let kind = Kind::from_number(entry.kind);
    matches!(kind, Some(Kind::Frames | Kind::Blocks)) && entry.parent == 0
}

impl Ledger<'_> {
    /// Frames of `id`, from the block and frame tables.
    fn count_frames(&self, id: EnvironmentId) -> u64 {
        let mut frames = 0u64;
        for (index, block) in self.tables.blocks.iter().enumerate() {
            let here = if block.state == BlockState::Split as u8 {
                self.frames_of_block((index as u64) << BLOCK_ORDER)
                    .iter()
                    .filter(|frame| frame.owner == id)
                    .count() as u64
            } else if block.owner == id {
                BLOCK_FRAMES
            } else {
                0
            };
            frames = frames.saturating_add(here);
        }
        frames
    }

    /// Whether a root of environment numbers, held by `owner`, names `id`.
    fn is_made_by(&self, id: EnvironmentId, owner: u32) -> bool {
        self.used_slots().any(|(_, entry)| {
            let named = Name::new(Kind::Environment, u64::from(id.0), 1);
            entry.kind == Kind::Environment as u8
                && entry.parent == 0
                && u32::from(entry.holder.0) == owner
                && named.lies_in((entry.first, entry.count))
        })
    }

    /// Checks the record of every environment, and what the summary says of all.
    pub(super) fn audit_environments(&self) -> Result<(), Inconsistency> {
        let (mut held_by_all, mut alive, mut tables, mut owned) = (0u64, 0u64, 0u64, 0u64);
        for (index, entry) in self.tables.environments.iter().enumerate() {
            let id = EnvironmentId((index as u16).saturating_add(1));
            let mut kinds = [0u32; KIND_NUMBERS];
            let (mut guaranteed, mut slices) = (0u64, 0u64);
            for (_, slot) in self.used_slots().filter(|(_, slot)| slot.holder == id) {
                if let Some(count) = kinds.get_mut(usize::from(slot.kind)) {
                    *count = count.saturating_add(1);
                }
                if slot.kind == Kind::Slice as u8 && slot.bound != 0 {
                    slices = slices.saturating_add(slot.count);
                }
                if slot.guaranteed != 0 && is_frames(slot) {
                    guaranteed = guaranteed.saturating_add(slot.count);
                }
            }
            let held = u64::from(
                kinds
                    .iter()
                    .fold(0, |sum: u32, count| sum.saturating_add(*count)),
            );
            let dma = kinds.get(Kind::Dma as usize).copied().unwrap_or(0);
            let frames = self.count_frames(id);
            owned = owned.saturating_add(frames);
            let consistent = frames == u64::from(entry.frames)
                && guaranteed == u64::from(entry.frames_guaranteed)
                && kinds == entry.held
                && held == u64::from(entry.capabilities)
                && dma == entry.dma_mappings
                && slices == u64::from(entry.slices)
                && entry.frames <= entry.frames_quota
                && entry.slices <= entry.slices_quota
                && entry.tables <= entry.tables_quota
                && entry.capabilities <= entry.capabilities_quota
                && entry.dma_mappings <= entry.dma_mappings_quota;
            let state = State::from_number(entry.state);
            let Some(state) = state.filter(|_| consistent) else {
                return Err(Inconsistency::EnvironmentCount(id.0));
            };
            held_by_all = held_by_all.saturating_add(held);
            tables = tables.saturating_add(u64::from(entry.tables));
            if entry.owner != 0 && state.is_alive() && !self.is_made_by(id, entry.owner) {
                return Err(Inconsistency::Owner(id.0));
            }
            alive = alive.saturating_add(u64::from(state.is_alive()));
        }
        let summary = &self.tables.summary;
        if summary.capabilities_used == held_by_all
            && summary.environments_alive == alive
            && summary.frames_owned == owned
            && summary.free_tables.checked_add(tables) == Some(self.table_pool)
        {
            Ok(())
        } else {
            Err(Inconsistency::Summary)
        }
    }
}
