//! Slots of the slice vectors: whose they are, against what capabilities say.

use exo_abi::capability::CapabilityEntry;
use exo_abi::slice::SLICES;
use exo_abi::{EnvironmentId, Kind};

use super::Inconsistency;
use crate::Ledger;

impl Ledger<'_> {
    fn used_slices(&self) -> impl Iterator<Item = (u32, &CapabilityEntry)> + Clone {
        self.used_slots()
            .filter(|(_, entry)| entry.kind == Kind::Slice as u8)
    }

    /// Slots that were allocated run somebody who has bound them on its own vCPU; the others run nobody.
    pub(super) fn audit_slices(&self) -> Result<(), Inconsistency> {
        for (slot, entry) in self.used_slices() {
            let vcpu = self.environment(entry.holder).map(|holder| holder.vcpu);
            let good = match entry.bound {
                0 => entry.parent != 0,
                1 => vcpu == Ok(entry.resource),
                _ => false,
            };
            if !good {
                return Err(Inconsistency::Slot(slot));
            }
        }
        let places = (0u32..).flat_map(|vcpu| (0..SLICES as u64).map(move |slot| (vcpu, slot)));
        for ((vcpu, slot), (index, entry)) in places.zip((0u32..).zip(self.tables.slices.iter())) {
            let mut named = self.used_slices().filter(|(_, entry)| {
                let range = entry.first..entry.first.saturating_add(entry.count);
                entry.resource == vcpu && range.contains(&slot)
            });
            let good = match entry.owner {
                EnvironmentId::NOBODY => named.all(|(_, entry)| entry.parent != 0),
                owner => named.any(|(_, entry)| entry.bound != 0 && entry.holder == owner),
            };
            if !good {
                return Err(Inconsistency::Slice(index));
            }
        }
        Ok(())
    }
}
