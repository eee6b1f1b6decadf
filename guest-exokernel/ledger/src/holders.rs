//! What each environment holds: a list through the capability table, the newest first. A link is a slot plus one; 0 ends the list.

use exo_abi::capability::KIND_NUMBERS;
use exo_abi::{Capability, EnvironmentId};

use crate::Ledger;
use crate::capabilities::index_of;
use crate::environments::environment_index;

/// Where capabilities of this kind are counted; no check of bounds is left after the mask.
pub(crate) const fn kind_index(kind: u8) -> usize {
    kind as usize % KIND_NUMBERS
}

impl Ledger<'_> {
    /// The newest capability of `holder`.
    pub fn newest_capability(&self, holder: EnvironmentId) -> Option<Capability> {
        self.linked(self.environment(holder).ok()?.first_capability)
    }

    /// The capability that `holder` got before this one, among those that it still has.
    pub fn older_capability(
        &self,
        holder: EnvironmentId,
        capability: Capability,
    ) -> Option<Capability> {
        self.linked(self.capability(holder, capability).ok()?.next)
    }

    /// The word for a slot as links name it.
    pub(crate) fn linked(&self, link: u32) -> Option<Capability> {
        let slot = link.checked_sub(1)?;
        let entry = self.slot(slot)?;
        Some(Capability::new(slot, entry.generation))
    }

    /// Puts a slot before all others of its holder, and counts it.
    #[inline(always)]
    pub(crate) fn link(&mut self, holder: EnvironmentId, slot: u32) {
        let link = slot.wrapping_add(1);
        let capabilities = &mut *self.tables.capabilities;
        let environment = self.tables.environments.get_mut(environment_index(holder));
        let Some(environment) = environment else {
            return;
        };
        environment.capabilities = environment.capabilities.wrapping_add(1);
        let second = core::mem::replace(&mut environment.first_capability, link);
        if let Some(entry) = capabilities.get_mut(slot as usize) {
            entry.next = second;
            if let Some(held) = environment.held.get_mut(kind_index(entry.kind)) {
                *held = held.wrapping_add(1);
            }
        }
        if let Some(entry) = capabilities.get_mut(index_of(second)) {
            entry.previous = link;
        }
    }

    /// Takes a slot out of its holder's list, and counts it no more. Before the first entry stands the holder's record.
    #[inline(always)]
    pub(crate) fn unlink(&mut self, holder: EnvironmentId, slot: u32) {
        let capabilities = &mut *self.tables.capabilities;
        let environment = self.tables.environments.get_mut(environment_index(holder));
        let (Some(entry), Some(environment)) = (capabilities.get(slot as usize), environment)
        else {
            return;
        };
        let (previous, next) = (entry.previous, entry.next);
        environment.capabilities = environment.capabilities.wrapping_sub(1);
        if let Some(held) = environment.held.get_mut(kind_index(entry.kind)) {
            *held = held.wrapping_sub(1);
        }
        match capabilities.get_mut(index_of(previous)) {
            Some(entry) => entry.next = next,
            None => environment.first_capability = next,
        }
        if let Some(entry) = capabilities.get_mut(index_of(next)) {
            entry.previous = previous;
        }
    }
}
