//! What each environment holds: a list through the capability table, the newest first. A link is a slot plus one; 0 ends the list.

use exo_abi::{Capability, EnvironmentId};

use crate::Ledger;

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
    pub(crate) fn link(&mut self, holder: EnvironmentId, slot: u32) {
        let link = slot.saturating_add(1);
        let Some(environment) = self.environment_mut(holder) else {
            return;
        };
        environment.capabilities = environment.capabilities.saturating_add(1);
        let second = core::mem::replace(&mut environment.first_capability, link);
        self.join(holder, link, second);
    }

    /// Takes a slot out of its holder's list, and counts it no more.
    pub(crate) fn unlink(&mut self, holder: EnvironmentId, slot: u32) {
        let Some(entry) = self.slot(slot) else {
            return;
        };
        let (previous, next) = (entry.previous, entry.next);
        self.join(holder, previous, next);
        if let Some(environment) = self.environment_mut(holder) {
            environment.capabilities = environment.capabilities.saturating_sub(1);
        }
    }

    /// Makes two links neighbours. Before the first entry stands the holder's record, behind the last nothing.
    fn join(&mut self, holder: EnvironmentId, previous: u32, next: u32) {
        match previous.checked_sub(1) {
            Some(slot) => {
                if let Some(entry) = self.slot_mut(slot) {
                    entry.next = next;
                }
            }
            None => {
                if let Some(environment) = self.environment_mut(holder) {
                    environment.first_capability = next;
                }
            }
        }
        if let Some(slot) = next.checked_sub(1)
            && let Some(entry) = self.slot_mut(slot)
        {
            entry.previous = previous;
        }
    }
}
