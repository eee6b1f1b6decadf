//! The lists of what each environment holds.

use exo_abi::EnvironmentId;

use super::Inconsistency;
use crate::Ledger;

impl Ledger<'_> {
    /// The list of each environment leads to each slot that it holds, once, and back.
    pub(super) fn audit_holders(&self) -> Result<(), Inconsistency> {
        for (index, environment) in self.tables.environments.iter().enumerate() {
            let id = EnvironmentId((index as u16).saturating_add(1));
            let held = self.used_slots().filter(|(_, entry)| entry.holder == id);
            let held = held.count() as u32;
            let (mut previous, mut next, mut length) = (0, environment.first_capability, 0u32);
            while let Some(slot) = next.checked_sub(1) {
                let entry = self.tables.capabilities.get(slot as usize);
                let entry = entry.ok_or(Inconsistency::HolderList(slot))?;
                length = length.saturating_add(1);
                if entry.holder != id || entry.previous != previous || length > held {
                    return Err(Inconsistency::HolderList(slot));
                }
                (previous, next) = (next, entry.next);
            }
            if length != held {
                return Err(Inconsistency::HolderList(previous.saturating_sub(1)));
            }
        }
        Ok(())
    }
}
