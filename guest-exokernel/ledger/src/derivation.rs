//! Deriving: a part of what a capability names, with some of its rights, as a capability of its own.

use exo_abi::capability::{CapabilityEntry, DEPTH_MAX};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::Ledger;
use crate::capabilities::{Name, index_of, take_generation};
use crate::environments::environment_index;
use crate::holders::kind_index;
use crate::mappings::lies_in;

/// What was checked and is to be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derivation {
    first: u64,
    count: u64,
    resource: u32,
    kind: u8,
    rights: u8,
}

impl Derivation {
    /// A part that the caller has checked.
    pub(crate) fn new(name: Name, rights: Rights) -> Self {
        Self {
            first: name.first,
            count: name.count,
            resource: name.resource,
            kind: name.kind as u8,
            rights: rights.0 as u8,
        }
    }
}

impl Ledger<'_> {
    /// Whether `holder` may derive this; what the new capability names. `kind` 0: that of `capability`. Order of checks: rights,
    /// kind without a meaning, capability, kinds, rights of the capability, count, range, depth, quota, slots.
    #[inline(always)]
    pub fn check_derive(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        (first, count): (u64, u64),
        rights: u64,
        kind: u64,
    ) -> Result<Derivation, Error> {
        const ALLOWED: u64 = Rights::CAPABILITY.0 as u64;
        if rights == 0 || rights & !ALLOWED != 0 {
            return Err(Error::BadArgument);
        }
        // Zero, and all kinds that there are, are numbers up to the last.
        const _: () = assert!(
            Kind::from_number(Kind::ALL.len() as u8).is_some()
                && Kind::from_number(Kind::ALL.len() as u8 + 1).is_none()
        );
        if kind > Kind::ALL.len() as u64 {
            return Err(Error::BadArgument);
        }
        let kind = kind as u8;
        let entry = self.capability(holder, capability)?;
        // DMA rights are not derived: they hold in one domain.
        if entry.kind == Kind::Dma as u8 {
            return Err(Error::WrongKind);
        }
        let kind = if kind == 0 { entry.kind } else { kind };
        let (kind, resource, names) = if kind == entry.kind {
            (entry.kind, entry.resource, (entry.first, entry.count))
        } else {
            self.other_kind(entry, kind)?
        };
        let rights = rights as u8;
        if (rights | Rights::DERIVE.0 as u8) & !entry.rights != 0 {
            return Err(Error::NotPermitted);
        }
        if count == 0 {
            return Err(Error::BadCount);
        }
        if !lies_in(first, count, names) {
            return Err(Error::OutOfRange);
        }
        if entry.depth >= DEPTH_MAX {
            return Err(Error::Quota);
        }
        self.check_capability_quota(holder)?;
        Ok(Derivation {
            first,
            count,
            resource,
            kind,
            rights,
        })
    }

    /// Records what was checked: the caller holds the new capability, below `capability` in the tree.
    #[inline(always)]
    pub fn commit_derive(
        &mut self,
        holder: EnvironmentId,
        capability: Capability,
        derivation: Derivation,
    ) -> Capability {
        let link = self.free_capability;
        let slot = link.wrapping_sub(1);
        let capabilities = &mut *self.tables.capabilities;
        let environment = self.tables.environments.get_mut(environment_index(holder));
        let (Some(parent), Some(environment)) = (
            capabilities.get_mut(capability.slot() as usize),
            environment,
        ) else {
            return Capability::NONE;
        };
        let depth = parent.depth.wrapping_add(1);
        let sibling = core::mem::replace(&mut parent.first_child, link);
        let second = core::mem::replace(&mut environment.first_capability, link);
        environment.capabilities = environment.capabilities.wrapping_add(1);
        if let Some(held) = environment.held.get_mut(kind_index(derivation.kind)) {
            *held = held.wrapping_add(1);
        }
        if let Some(entry) = capabilities.get_mut(index_of(sibling)) {
            entry.previous_sibling = link;
        }
        if let Some(entry) = capabilities.get_mut(index_of(second)) {
            entry.previous = link;
        }
        let used = &mut self.tables.summary.capabilities_used;
        *used = used.wrapping_add(1);
        let slots = capabilities.len() as u32;
        let Some(entry) = capabilities.get_mut(slot as usize) else {
            return Capability::NONE;
        };
        self.free_capability = take_generation(entry, link, slots);
        entry.first = derivation.first;
        entry.count = derivation.count;
        entry.resource = derivation.resource;
        entry.holder = holder;
        entry.kind = derivation.kind;
        entry.rights = derivation.rights;
        entry.next = second;
        entry.parent = capability.slot().wrapping_add(1);
        entry.next_sibling = sibling;
        entry.depth = depth;
        Capability::new(slot, entry.generation)
    }

    /// What can be derived from `entry` that is of another kind, and its names: queues of a function.
    #[cold]
    fn other_kind(
        &self,
        entry: &CapabilityEntry,
        kind: u8,
    ) -> Result<(u8, u32, (u64, u64)), Error> {
        if entry.kind != Kind::Function as u8 || kind != Kind::Queue as u8 {
            return Err(Error::WrongKind);
        }
        let function = self.function(entry.first as u32);
        let queues = function.map_or(0, |function| function.record.queues);
        Ok((kind, entry.first as u32, (0, u64::from(queues))))
    }

    /// Whether everything that `name` names is named by `entry`, of which its kind can be derived.
    #[inline(always)]
    pub(crate) fn is_part(&self, entry: &CapabilityEntry, name: &Name) -> bool {
        if entry.kind == name.kind as u8 || name.kind != Kind::Queue {
            return name.lies_in((entry.first, entry.count));
        }
        self.function(entry.first as u32)
            .is_ok_and(|function| name.lies_in((0, u64::from(function.record.queues))))
    }
}
