//! Capability slots: allocate, look up, free. A freed word is stale for ever.

use exo_abi::capability::{CapabilityEntry, RETIRED};
use exo_abi::environment::EnvironmentEntry;
use exo_abi::layout::Summary;
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::Ledger;
use crate::environments::environment_index;
use crate::holders::kind_index;

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
    #[inline(always)]
    pub(crate) fn lies_in(&self, (first, count): (u64, u64)) -> bool {
        let last = count.checked_sub(self.count);
        let offset = self.first.checked_sub(first);
        last.is_some_and(|last| offset.is_some_and(|offset| offset <= last))
    }
}

/// Where a link leads in the capability table: beyond its end, if it is none.
#[inline(always)]
pub(crate) fn index_of(link: u32) -> usize {
    link.wrapping_sub(1) as usize
}

/// Takes a free slot, of `slots`, into use: its generation is right then. The link to the next free one.
#[inline(always)]
pub(crate) fn take_generation(entry: &mut CapabilityEntry, link: u32, slots: u32) -> u32 {
    if entry.generation != 0 {
        return entry.next;
    }
    // Never used, and so are all behind it.
    entry.generation = 1;
    match link < slots {
        true => link.wrapping_add(1),
        false => 0,
    }
}

/// Takes a slot, of those in `capabilities` from the first free one on, for a capability of this holder, whose record is `environment`: the root of a tree. Built
/// into its callers, since allocating a frame is a path whose instructions are counted.
#[inline(always)]
pub(crate) fn take_slot(
    (capabilities, free): (&mut [CapabilityEntry], &mut u32),
    environment: &mut EnvironmentEntry,
    summary: &mut Summary,
    (holder, name): (EnvironmentId, Name),
    rights: Rights,
) -> Option<Capability> {
    let link = *free;
    let slot = index_of(link);
    let slots = capabilities.len() as u32;
    let entry = capabilities.get_mut(slot)?;
    *free = take_generation(entry, link, slots);
    let second = core::mem::replace(&mut environment.first_capability, link);
    environment.capabilities = environment.capabilities.wrapping_add(1);
    if let Some(held) = environment.held.get_mut(kind_index(name.kind as u8)) {
        *held = held.wrapping_add(1);
    }
    entry.first = name.first;
    entry.count = name.count;
    entry.resource = name.resource;
    entry.holder = holder;
    entry.kind = name.kind as u8;
    entry.rights = rights.0 as u8;
    entry.next = second;
    let capability = Capability::new(slot as u32, entry.generation);
    if let Some(entry) = capabilities.get_mut(index_of(second)) {
        entry.previous = link;
    }
    summary.capabilities_used = summary.capabilities_used.wrapping_add(1);
    Some(capability)
}

impl Ledger<'_> {
    /// The entry behind `capability`, if `holder` holds it. The one place where a capability is believed. A free slot is held by
    /// nobody, who is no caller; and its kind is none.
    #[inline(always)]
    pub fn capability(
        &self,
        holder: EnvironmentId,
        capability: Capability,
    ) -> Result<&CapabilityEntry, Error> {
        let entry = self.slot(capability.slot()).ok_or(Error::BadCapability)?;
        if entry.holder != holder {
            return Err(Error::BadCapability);
        }
        if entry.generation != capability.generation() {
            return Err(Error::BadCapability);
        }
        if entry.kind == 0 {
            return Err(Error::BadCapability);
        }
        Ok(entry)
    }

    /// The entry of a slot.
    #[inline(always)]
    pub(crate) fn slot(&self, slot: u32) -> Option<&CapabilityEntry> {
        self.tables.capabilities.get(slot as usize)
    }

    /// The entry of a slot, to change.
    #[inline(always)]
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
    #[inline(always)]
    pub fn check_capability_quota(&self, holder: EnvironmentId) -> Result<(), Error> {
        let environment = self.environment(holder)?;
        if environment.capabilities >= environment.capabilities_quota {
            return Err(Error::Quota);
        }
        match self.slot(self.free_capability.wrapping_sub(1)) {
            Some(_) => Ok(()),
            None => Err(Error::Exhausted),
        }
    }

    /// Records a capability, after [`Self::check_capability_quota`]. Constant cost. Without a free slot, or for a holder
    /// that is no environment, it records nothing. It is the root of a tree.
    pub fn add_capability(
        &mut self,
        holder: EnvironmentId,
        name: Name,
        rights: Rights,
    ) -> Capability {
        let tables = &mut self.tables;
        let environment = tables.environments.get_mut(environment_index(holder));
        let taken = environment.and_then(|environment| {
            take_slot(
                (&mut *tables.capabilities, &mut self.free_capability),
                environment,
                &mut *tables.summary,
                (holder, name),
                rights,
            )
        });
        taken.unwrap_or(Capability::NONE)
    }

    /// Makes the word stale and the slot free. Constant cost. A slot whose generations are used up is never used again; whoever
    /// held it last may have one capability less from then on, so that the quotas of the others are worth as much as before.
    #[inline(always)]
    pub(crate) fn remove_capability(&mut self, holder: EnvironmentId, slot: u32) {
        self.unlink(holder, slot);
        let Some(entry) = self.slot(slot) else {
            return;
        };
        let (parent, previous) = (entry.parent, entry.previous_sibling);
        self.prune(parent, previous, entry.next_sibling);
        let free = self.free_capability;
        let Some(entry) = self.slot_mut(slot) else {
            return;
        };
        let generation = entry.generation.wrapping_add(1);
        *entry = CapabilityEntry {
            generation,
            ..CapabilityEntry::default()
        };
        if generation != 0 {
            entry.next = free;
            self.free_capability = slot.wrapping_add(1);
        } else {
            entry.next = RETIRED;
            if let Some(environment) = self.environment_mut(holder) {
                environment.capabilities_quota = environment.capabilities_quota.wrapping_sub(1);
            }
        }
        let used = &mut self.tables.summary.capabilities_used;
        *used = used.wrapping_sub(1);
    }
}
