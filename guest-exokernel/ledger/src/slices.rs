//! Slices in the ledger: whose each is, and how much time was used by whom.

use exo_abi::slice::{SLICES, SliceEntry};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::{Ledger, Name};

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

    /// Says whose a slot is from now on.
    pub fn set_slice_owner(&mut self, vcpu: usize, slot: usize, owner: EnvironmentId) {
        if let Some(entry) = self.slice_mut(vcpu, slot) {
            entry.owner = owner;
        }
    }

    /// Whether `holder` may have `count` slots of a vCPU from `first` on, none of which has an owner.
    pub fn check_slices(
        &self,
        holder: EnvironmentId,
        vcpu: u64,
        first: u64,
        count: u64,
    ) -> Result<Name, Error> {
        let last = first.checked_add(count).ok_or(Error::OutOfRange)?;
        if last > SLICES as u64 {
            return Err(Error::OutOfRange);
        }
        for slot in first..last {
            if self.slice_owner(vcpu as usize, slot as usize) != EnvironmentId::NOBODY {
                return Err(Error::Taken);
            }
        }
        self.check_capability_quota(holder)?;
        self.check_slices_quota(holder, count)?;
        Ok(Name {
            kind: Kind::Slice,
            resource: vcpu as u32,
            first,
            count,
        })
    }

    /// Whether `holder` may bind so many slots more. What it has handed on stays bound, since it comes back to it.
    fn check_slices_quota(&self, holder: EnvironmentId, count: u64) -> Result<(), Error> {
        let entry = self.environment(holder)?;
        let left = entry.slices_quota.saturating_sub(entry.slices);
        if count > u64::from(left) {
            return Err(Error::Quota);
        }
        Ok(())
    }

    /// Records a capability of slots, bound. The owner of each is to be set.
    pub fn commit_slices(&mut self, holder: EnvironmentId, name: Name) -> Capability {
        let capability = self.add_capability(holder, name, Rights::CAPABILITY);
        self.commit_bind_slices(capability);
        capability
    }

    /// Whether `holder` may bind slots: which. They are of its own vCPU, and not bound by this capability.
    pub fn check_bind_slices(
        &self,
        holder: EnvironmentId,
        capability: Capability,
    ) -> Result<Name, Error> {
        let entry = self.capability(holder, capability)?;
        if entry.kind != Kind::Slice as u8 {
            return Err(Error::WrongKind);
        }
        if !Rights(u32::from(entry.rights)).contains(Rights::READ) {
            return Err(Error::NotPermitted);
        }
        if entry.resource != self.environment(holder)?.vcpu {
            return Err(Error::BadArgument);
        }
        if entry.bound != 0 {
            return Err(Error::BadState);
        }
        self.check_slices_quota(holder, entry.count)?;
        Ok(Name {
            kind: Kind::Slice,
            resource: entry.resource,
            first: entry.first,
            count: entry.count,
        })
    }

    /// Records the binding. The owner of each slot is to be set.
    pub fn commit_bind_slices(&mut self, capability: Capability) {
        let Some(entry) = self.slot_mut(capability.slot()) else {
            return;
        };
        entry.bound = 1;
        let (holder, count) = (entry.holder, entry.count as u32);
        if let Some(environment) = self.environment_mut(holder) {
            environment.slices = environment.slices.saturating_add(count);
        }
    }

    /// Records that slots are bound no more.
    pub(crate) fn remove_slices(&mut self, holder: EnvironmentId, count: u64) {
        if let Some(environment) = self.environment_mut(holder) {
            environment.slices = environment.slices.saturating_sub(count as u32);
        }
    }

    /// Who gets the slots of a capability when it ends: the holder of the nearest one above it that is bound. Who has ended gets nothing. Cost: linear
    /// in its depth.
    pub fn heir_of_slices(&self, capability: Capability) -> EnvironmentId {
        let mut above = self.parent(capability);
        while let Some(parent) = above {
            if let Some(entry) = self.entry(parent)
                && entry.bound != 0
                && self.is_alive(entry.holder)
            {
                return entry.holder;
            }
            above = self.parent(parent);
        }
        EnvironmentId::NOBODY
    }

    /// Counts time that an environment used.
    pub fn charge_time(&mut self, id: EnvironmentId, ticks: u64) {
        if let Some(entry) = self.environment_mut(id) {
            entry.ticks = entry.ticks.wrapping_add(ticks);
        }
    }

    /// Counts time that was used in a slot.
    pub fn charge_slice(&mut self, vcpu: usize, slot: usize, ticks: u64) {
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
