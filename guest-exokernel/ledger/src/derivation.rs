//! Deriving: a part of what a capability names, with some of its rights, as a capability of its own.

use exo_abi::capability::{CapabilityEntry, DEPTH_MAX};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::Ledger;
use crate::capabilities::Name;

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
    ) -> Result<(Name, Rights), Error> {
        const ALLOWED: u64 = Rights::CAPABILITY.0 as u64;
        if rights == 0 || rights & !ALLOWED != 0 {
            return Err(Error::BadArgument);
        }
        let rights = Rights(rights as u32);
        if kind != 0
            && u8::try_from(kind)
                .ok()
                .and_then(Kind::from_number)
                .is_none()
        {
            return Err(Error::BadArgument);
        }
        let entry = self.capability(holder, capability)?;
        let name = Self::derived_name(entry, kind as u8, first, count)?;
        if !Rights(u32::from(entry.rights)).contains(rights.union(Rights::DERIVE)) {
            return Err(Error::NotPermitted);
        }
        if count == 0 {
            return Err(Error::BadCount);
        }
        if !self.is_part(entry, &name) {
            return Err(Error::OutOfRange);
        }
        if entry.depth >= DEPTH_MAX {
            return Err(Error::Quota);
        }
        self.check_capability_quota(holder)?;
        Ok((name, rights))
    }

    /// Records what was checked: the caller holds the new capability, below `capability` in the tree.
    #[inline(always)]
    pub fn commit_derive(
        &mut self,
        holder: EnvironmentId,
        capability: Capability,
        name: Name,
        rights: Rights,
    ) -> Capability {
        let derived = self.take_slot(holder, name, rights);
        if derived != Capability::NONE {
            self.graft(capability.slot(), derived.slot());
        }
        derived
    }

    /// What a derived capability names, if its kind, 0 for the same, can come from that of `entry`: the same, or a queue of a
    /// function. DMA rights are not derived: they hold in one domain.
    #[inline(always)]
    fn derived_name(
        entry: &CapabilityEntry,
        kind: u8,
        first: u64,
        count: u64,
    ) -> Result<Name, Error> {
        if entry.kind == Kind::Dma as u8 {
            return Err(Error::WrongKind);
        }
        let (kind, resource) = if kind == 0 || kind == entry.kind {
            (entry.kind, entry.resource)
        } else if entry.kind == Kind::Function as u8 && kind == Kind::Queue as u8 {
            (kind, entry.first as u32)
        } else {
            return Err(Error::WrongKind);
        };
        Ok(Name {
            kind: Kind::from_number(kind).ok_or(Error::WrongKind)?,
            resource,
            first,
            count,
        })
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
