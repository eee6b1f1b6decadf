//! Device functions: owners and bindings against capabilities.

use exo_abi::capability::CapabilityEntry;
use exo_abi::{EnvironmentId, Kind};

use super::Inconsistency;
use crate::Ledger;

impl Ledger<'_> {
    /// A function has the owner that a capability says, and only an owner has it bound and mapped.
    pub(super) fn audit_functions(&self) -> Result<(), Inconsistency> {
        let function_kind = Kind::Function as u8;
        for (index, function) in (0u32..).zip(self.tables.functions.iter()) {
            let names = |entry: &CapabilityEntry| {
                entry.kind == function_kind && entry.first == u64::from(index)
            };
            let holder = self
                .used_slots()
                .find(|(_, entry)| names(entry) && entry.parent == 0)
                .map(|(_, entry)| entry.holder);
            let binders = self
                .used_slots()
                .filter(|(_, entry)| names(entry) && entry.bound != 0);
            let binders = binders.count();
            let owner = match function.owner {
                EnvironmentId::NOBODY | EnvironmentId::KERNEL => None,
                owner => Some(owner),
            };
            let bound = match function.bound {
                0 => function.reserved == 0 && binders == 0,
                1 => owner.is_some() && binders == 1,
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
}
