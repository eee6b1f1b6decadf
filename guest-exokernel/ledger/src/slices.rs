//! Slices in the ledger: whose each is, and how much time was used by whom.

use exo_abi::EnvironmentId;
use exo_abi::slice::{SLICES, SliceEntry};

use crate::Ledger;

impl Ledger<'_> {
    fn slice_mut(&mut self, vcpu: usize, slot: usize) -> Option<&mut SliceEntry> {
        let index = vcpu.checked_mul(SLICES)?.checked_add(slot)?;
        self.tables.slices.get_mut(index)
    }

    /// Whose slot `slot` of a vCPU is.
    pub fn slice_owner(&self, vcpu: usize, slot: usize) -> EnvironmentId {
        let index = vcpu
            .checked_mul(SLICES)
            .and_then(|first| first.checked_add(slot));
        let entry = index.and_then(|index| self.tables.slices.get(index));
        entry.map_or(EnvironmentId::NOBODY, |entry| entry.owner)
    }

    /// Counts time that an environment used in a slot.
    pub fn charge_time(&mut self, id: EnvironmentId, vcpu: usize, slot: usize, ticks: u64) {
        if let Some(entry) = self.environment_mut(id) {
            entry.ticks = entry.ticks.wrapping_add(ticks);
        }
        if let Some(entry) = self.slice_mut(vcpu, slot) {
            entry.ticks = entry.ticks.wrapping_add(ticks);
        }
    }

    /// Counts a turn.
    pub fn count_turn(&mut self, id: EnvironmentId) {
        if let Some(entry) = self.environment_mut(id) {
            entry.turns = entry.turns.wrapping_add(1);
        }
    }

    /// Counts a forced switch.
    pub fn count_forced_switch(&mut self, id: EnvironmentId) {
        if let Some(entry) = self.environment_mut(id) {
            entry.forced_switches = entry.forced_switches.wrapping_add(1);
        }
    }

    /// Counts a slice that was ended too late.
    pub fn count_penalty(&mut self, id: EnvironmentId) {
        if let Some(entry) = self.environment_mut(id) {
            entry.penalties = entry.penalties.wrapping_add(1);
        }
    }
}
