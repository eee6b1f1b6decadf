//! Capability slots: allocate, look up, free. A freed word is stale for ever.

use exo_abi::capability::CapabilityEntry;
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::Ledger;

/// What a capability names: a range of names of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// Kind of resource.
    pub kind: Kind,
    /// What the range is part of, for kinds that say so; else 0.
    pub resource: u32,
    /// First name.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Name {
    /// A range of a kind that is not part of anything.
    pub const fn new(kind: Kind, first: u64, count: u64) -> Self {
        Self {
            kind,
            resource: 0,
            first,
            count,
        }
    }

    /// Whether the range lies in `count` names from `first` on.
    pub(crate) fn lies_in(&self, (first, count): (u64, u64)) -> bool {
        self.first
            .checked_sub(first)
            .and_then(|offset| offset.checked_add(self.count))
            .is_some_and(|end| end <= count)
    }
}

impl Ledger<'_> {
    /// The entry behind `capability`, if `holder` holds it. The one place where a capability is believed.
    pub fn capability(
        &self,
        holder: EnvironmentId,
        capability: Capability,
    ) -> Result<&CapabilityEntry, Error> {
        let entry = self.slot(capability.slot()).ok_or(Error::BadCapability)?;
        if entry.holder != holder
            || entry.generation != capability.generation()
            || holder == EnvironmentId::NOBODY
        {
            return Err(Error::BadCapability);
        }
        Ok(entry)
    }

    /// The entry of a slot.
    pub(crate) fn slot(&self, slot: u32) -> Option<&CapabilityEntry> {
        self.tables.capabilities.get(slot as usize)
    }

    /// The entry of a slot, to change.
    pub(crate) fn slot_mut(&mut self, slot: u32) -> Option<&mut CapabilityEntry> {
        self.tables.capabilities.get_mut(slot as usize)
    }

    /// The same, for a capability that must name a device function: its index.
    pub fn function_capability(
        &self,
        holder: EnvironmentId,
        capability: Capability,
    ) -> Result<u32, Error> {
        let entry = self.capability(holder, capability)?;
        if Kind::from_number(entry.kind) != Some(Kind::Function) {
            return Err(Error::WrongKind);
        }
        u32::try_from(entry.first).map_err(|_| Error::OutOfRange)
    }

    /// Whether `holder` may have one more capability, and a slot is free.
    pub fn check_capability_quota(&self, holder: EnvironmentId) -> Result<(), Error> {
        let environment = self.environment(holder)?;
        if environment.capabilities >= environment.capabilities_quota {
            return Err(Error::Quota);
        }
        if self.free_capability == 0
            && self.fresh_capability as usize >= self.tables.capabilities.len()
        {
            return Err(Error::Exhausted);
        }
        Ok(())
    }

    /// Records a capability, after [`Self::check_capability_quota`]. Constant cost. Without a free slot, or for a holder
    /// that is no environment, it records nothing. It is the root of a tree.
    pub fn add_capability(
        &mut self,
        holder: EnvironmentId,
        name: Name,
        rights: Rights,
    ) -> Capability {
        if self.environment(holder).is_err() {
            return Capability::NONE;
        }
        let slot = match self.free_capability.checked_sub(1) {
            Some(slot) => slot,
            None => self.fresh_capability,
        };
        let Some(entry) = self.tables.capabilities.get_mut(slot as usize) else {
            return Capability::NONE;
        };
        if self.free_capability == 0 {
            self.fresh_capability = self.fresh_capability.saturating_add(1);
            entry.generation = 1;
        } else {
            self.free_capability = entry.next;
        }
        entry.first = name.first;
        entry.count = name.count;
        entry.resource = name.resource;
        entry.holder = holder;
        entry.kind = name.kind as u8;
        entry.rights = rights.0 as u8;
        let capability = Capability::new(slot, entry.generation);
        self.tables.summary.capabilities_used =
            self.tables.summary.capabilities_used.saturating_add(1);
        self.link(holder, slot);
        capability
    }

    /// Makes the word stale and the slot free. Constant cost. A slot whose generations are used up is never used again; whoever
    /// held it last may have one capability less from then on, so that the quotas of the others are worth as much as before.
    pub(crate) fn remove_capability(&mut self, holder: EnvironmentId, capability: Capability) {
        let slot = capability.slot();
        let free = self.free_capability;
        self.unlink(holder, slot);
        if let Some(&entry) = self.slot(slot)
            && entry.parent != 0
        {
            self.prune(&entry);
        }
        let Some(entry) = self.slot_mut(slot) else {
            return;
        };
        let next_generation = entry.generation.checked_add(1);
        *entry = CapabilityEntry {
            generation: next_generation.unwrap_or(0),
            ..CapabilityEntry::default()
        };
        if next_generation.is_some() {
            entry.next = free;
            self.free_capability = slot.saturating_add(1);
        } else if let Some(environment) = self.environment_mut(holder) {
            environment.capabilities_quota = environment.capabilities_quota.saturating_sub(1);
        }
        self.tables.summary.capabilities_used =
            self.tables.summary.capabilities_used.saturating_sub(1);
    }
}
