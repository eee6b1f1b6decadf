//! Device functions: owners and bindings against capabilities.

use exo_abi::capability::CapabilityEntry;
use exo_abi::{EnvironmentId, Kind};

use super::Inconsistency;
use crate::Ledger;
use crate::functions::vectors_of_queues;

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
            let whole = self.audit_queues(index) && self.audit_extent(index);
            if owner != holder || !bound || !whole {
                return Err(Inconsistency::Function(index));
            }
        }
        let unshown = self.used_slots().find(|(slot, entry)| {
            let function = self.tables.functions.get(entry.bound as usize);
            let shown = function.is_some_and(|function| function.extent == slot.saturating_add(1));
            entry.kind == Kind::Extent as u8 && entry.bound != 0 && !shown
        });
        if let Some((_, entry)) = unshown {
            return Err(Inconsistency::Function(entry.bound));
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

    /// The queues that are bound by themselves are those that a capability each has bound; only what is bound has routes.
    fn audit_queues(&self, index: u32) -> bool {
        let Ok(function) = self.function(index) else {
            return false;
        };
        let mut queues = 0u32;
        for (_, entry) in self.used_slots() {
            if entry.kind != Kind::Queue as u8 || entry.resource != index || entry.bound == 0 {
                continue;
            }
            let bit = 1u32.checked_shl(entry.first as u32).unwrap_or(0);
            if entry.count != 1 || bit == 0 || queues & bit != 0 {
                return false;
            }
            queues |= bit;
        }
        let lent = vectors_of_queues(function);
        let unrouted = |(vector, &route): (usize, &u16)| {
            route == 0 || function.bound != 0 || lent >> vector & 1 != 0
        };
        queues == function.queues && function.routes.iter().enumerate().all(unrouted)
    }

    /// The extent that a bound function shows is one of its disk, and bound to it.
    fn audit_extent(&self, index: u32) -> bool {
        let Ok(function) = self.function(index) else {
            return false;
        };
        let Some(slot) = function.extent.checked_sub(1) else {
            return true;
        };
        self.slot(slot).is_some_and(|entry| {
            entry.kind == Kind::Extent as u8
                && entry.bound == index
                && entry.resource.checked_add(1) == Some(function.record.disk)
                && function.bound != 0
        })
    }
}
