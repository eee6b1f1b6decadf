//! Giving: a derived capability changes its holder, or is copied, if the new one is willing; and who may take it back.

use exo_abi::call::ANY_ENVIRONMENT;
use exo_abi::environment::ACCEPTS_ANY;
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::{Ledger, Name};

impl Ledger<'_> {
    /// Says from whom `id` accepts capabilities from now on: an environment, anybody, or nobody (0).
    pub fn accept(&mut self, id: EnvironmentId, from: u64) -> Result<(), Error> {
        let accepts = match from {
            0 => 0,
            ANY_ENVIRONMENT => ACCEPTS_ANY,
            number => u32::from(self.environment_number(number)?.0),
        };
        let entry = self.environment_mut(id).ok_or(Error::BadArgument)?;
        entry.accepts = accepts;
        Ok(())
    }

    /// The environment with this number, if the image has one.
    pub fn environment_number(&self, number: u64) -> Result<EnvironmentId, Error> {
        let id = u16::try_from(number).map_err(|_| Error::BadArgument)?;
        self.environment(EnvironmentId(id))?;
        Ok(EnvironmentId(id))
    }

    /// Whether `holder` may give `capability` to environment `to`. Order of checks: environment, capability, kind, whether it was
    /// derived, uses, willingness, quota of the receiver, generations.
    pub fn check_give(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        to: u64,
    ) -> Result<EnvironmentId, Error> {
        let to = self.environment_number(to)?;
        let entry = self.capability(holder, capability)?;
        if entry.kind == Kind::Dma as u8 {
            return Err(Error::WrongKind);
        }
        if entry.parent == 0 {
            return Err(Error::NotPermitted);
        }
        if entry.first_child != 0 || entry.first_mapping != 0 || entry.bound != 0 {
            return Err(Error::InUse);
        }
        let receiver = self.environment(to)?;
        let willing = receiver.accepts == ACCEPTS_ANY || receiver.accepts == u32::from(holder.0);
        if !willing {
            return Err(Error::Unwilling);
        }
        if receiver.capabilities >= receiver.capabilities_quota {
            return Err(Error::Quota);
        }
        if entry.generation == u32::MAX {
            return Err(Error::Exhausted);
        }
        Ok(to)
    }

    /// Makes `to` the holder, after [`Self::check_give`]. The word of the old holder is stale; the answer is the new one's. The
    /// slot is charged to the new holder, and not to the old one. Constant cost.
    pub fn commit_give(
        &mut self,
        holder: EnvironmentId,
        capability: Capability,
        to: EnvironmentId,
    ) -> Capability {
        let slot = capability.slot();
        self.unlink(holder, slot);
        let Some(entry) = self.slot_mut(slot) else {
            return Capability::NONE;
        };
        entry.generation = entry.generation.saturating_add(1);
        entry.holder = to;
        entry.previous = 0;
        let given = Capability::new(slot, entry.generation);
        self.link(to, slot);
        given
    }

    /// Whether `holder` may make another capability like `capability`, which was derived, for environment `to`: what it names. Order
    /// of checks: environment, capability, kind, whether it was derived, right, willingness, quota of the receiver, slots.
    pub fn check_copy(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        to: u64,
    ) -> Result<EnvironmentId, Error> {
        let to = self.environment_number(to)?;
        let entry = self.capability(holder, capability)?;
        if entry.kind == Kind::Dma as u8 {
            return Err(Error::WrongKind);
        }
        let derivable = Rights(u32::from(entry.rights)).contains(Rights::DERIVE);
        if entry.parent == 0 || !derivable {
            return Err(Error::NotPermitted);
        }
        let accepts = self.environment(to)?.accepts;
        if accepts != ACCEPTS_ANY && accepts != u32::from(holder.0) {
            return Err(Error::Unwilling);
        }
        self.check_capability_quota(to)?;
        Ok(to)
    }

    /// Records it, after [`Self::check_copy`]: `to` holds it, and it stands beside `capability` in the tree. Constant cost.
    pub fn commit_copy(&mut self, capability: Capability, to: EnvironmentId) -> Capability {
        let Some(&entry) = self.entry(capability) else {
            return Capability::NONE;
        };
        let Some(kind) = Kind::from_number(entry.kind) else {
            return Capability::NONE;
        };
        let name = Name {
            kind,
            resource: entry.resource,
            first: entry.first,
            count: entry.count,
        };
        let copy = self.add_capability(to, name, Rights(u32::from(entry.rights)));
        if copy != Capability::NONE {
            self.graft(entry.parent.wrapping_sub(1), copy.slot());
        }
        copy
    }

    /// Whether `holder` may take back what was derived from `capability`.
    pub fn check_revoke(&self, holder: EnvironmentId, capability: Capability) -> Result<(), Error> {
        let entry = self.capability(holder, capability)?;
        if Rights(u32::from(entry.rights)).contains(Rights::REVOKE) {
            Ok(())
        } else {
            Err(Error::NotPermitted)
        }
    }
}
