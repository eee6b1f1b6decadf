//! Deriving: a part of what a capability names, with some of its rights, as a capability of its own.

use exo_abi::capability::{CapabilityEntry, DEPTH_MAX};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::Ledger;
use crate::capabilities::Name;

impl Ledger<'_> {
    /// Whether `holder` may derive this; what the new capability names. `kind` 0: that of `capability`. Order of checks: rights,
    /// kind without a meaning, capability, kinds, rights of the capability, count, range, depth, quota, slots.
    pub fn check_derive(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        (first, count): (u64, u64),
        rights: u64,
        kind: u64,
    ) -> Result<(Name, Rights), Error> {
        let rights = u32::try_from(rights).ok();
        let rights = rights.and_then(|rights| Rights::from_number(rights, Rights::CAPABILITY));
        let rights = rights.filter(|rights| *rights != Rights::NONE);
        let rights = rights.ok_or(Error::BadArgument)?;
        let wanted = match u8::try_from(kind) {
            Ok(0) => None,
            Ok(number) => Some(Kind::from_number(number).ok_or(Error::BadArgument)?),
            Err(_) => return Err(Error::BadArgument),
        };
        let entry = self.capability(holder, capability)?;
        let name = self.derived_name(entry, wanted, first, count)?;
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
    pub fn commit_derive(
        &mut self,
        holder: EnvironmentId,
        capability: Capability,
        name: Name,
        rights: Rights,
    ) -> Capability {
        let derived = self.add_capability(holder, name, rights);
        if derived != Capability::NONE {
            self.graft(capability.slot(), derived.slot());
        }
        derived
    }

    /// What a derived capability names, if its kind can come from that of `entry`: the same, or a queue of a function. DMA
    /// rights are not derived: they hold in one domain.
    fn derived_name(
        &self,
        entry: &CapabilityEntry,
        wanted: Option<Kind>,
        first: u64,
        count: u64,
    ) -> Result<Name, Error> {
        let own = Kind::from_number(entry.kind).ok_or(Error::WrongKind)?;
        let kind = wanted.unwrap_or(own);
        let resource = match (own, kind) {
            (Kind::Dma, _) => return Err(Error::WrongKind),
            (Kind::Function, Kind::Queue) => entry.first as u32,
            _ if own == kind => entry.resource,
            _ => return Err(Error::WrongKind),
        };
        Ok(Name {
            kind,
            resource,
            first,
            count,
        })
    }

    /// Whether everything that `name` names is named by `entry`, of which its kind can be derived.
    pub(crate) fn is_part(&self, entry: &CapabilityEntry, name: &Name) -> bool {
        let whole = match (Kind::from_number(entry.kind), name.kind) {
            (Some(Kind::Function), Kind::Queue) => match self.function(entry.first as u32) {
                Ok(function) => (0, u64::from(function.record.queues)),
                Err(_) => return false,
            },
            _ => (entry.first, entry.count),
        };
        name.lies_in(whole)
    }
}
