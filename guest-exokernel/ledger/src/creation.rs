//! Environments that are made: by whoever may, of numbers that somebody was given, and out of that one's quotas.

use exo_abi::environment::{AbortReason, KEPT_TABLES, State};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::{Ledger, Name, Quotas};

/// An environment that was found to be possible, and not made yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Creation {
    /// Its number.
    pub id: EnvironmentId,
    /// Out of whose quotas.
    pub owner: EnvironmentId,
    vcpu: u32,
    quotas: Quotas,
}

impl Ledger<'_> {
    /// The environment with this number, if `capability` lets `holder` make it and do with it what it likes. Order of checks:
    /// capability, kind, right, range.
    pub fn check_control(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        number: u64,
    ) -> Result<EnvironmentId, Error> {
        let entry = self.capability(holder, capability)?;
        if entry.kind != Kind::Environment as u8 {
            return Err(Error::WrongKind);
        }
        if !Rights(u32::from(entry.rights)).contains(Rights::WRITE) {
            return Err(Error::NotPermitted);
        }
        if !Name::new(Kind::Environment, number, 1).lies_in((entry.first, entry.count)) {
            return Err(Error::OutOfRange);
        }
        Ok(EnvironmentId(number as u16))
    }

    /// Whether `holder` may make the environment with this number, with such quotas (frames, page tables, capabilities). Order of
    /// checks: those of [`Self::check_control`], whether it has ended, vCPU, quotas of the owner.
    pub fn check_creation(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        number: u64,
        (vcpu, vcpus): (u64, u64),
        quotas: [u64; 3],
    ) -> Result<Creation, Error> {
        let id = self.check_control(holder, capability, number)?;
        if self.is_alive(id) {
            return Err(Error::Taken);
        }
        if vcpu >= vcpus {
            return Err(Error::BadArgument);
        }
        let owner = self.root_holder(capability)?;
        let record = self.environment(owner)?;
        let spare = |quota: u32, used: u32, wanted: u64| {
            let wanted = u32::try_from(wanted).ok()?;
            (wanted <= quota.saturating_sub(used)).then_some(wanted)
        };
        let [frames, tables, capabilities] = quotas;
        let frames = spare(record.frames_quota, record.frames, frames);
        let tables = spare(record.tables_quota, record.tables, tables);
        let capabilities = spare(record.capabilities_quota, record.capabilities, capabilities);
        let (Some(frames), Some(tables), Some(capabilities)) = (frames, tables, capabilities)
        else {
            return Err(Error::Quota);
        };
        Ok(Creation {
            id,
            owner,
            vcpu: vcpu as u32,
            quotas: Quotas {
                frames,
                tables,
                capabilities,
                dma_mappings: 0,
                slices: 0,
            },
        })
    }

    /// Who holds the root of the tree in which a capability stands. At most [`exo_abi::capability::DEPTH_MAX`] steps.
    fn root_holder(&self, capability: Capability) -> Result<EnvironmentId, Error> {
        let mut capability = capability;
        while let Some(parent) = self.parent(capability) {
            capability = parent;
        }
        let root = self.entry(capability).ok_or(Error::BadCapability)?;
        Ok(root.holder)
    }

    /// Records what was checked, with no change in between. It accepts capabilities from `maker`.
    pub fn commit_creation(&mut self, creation: Creation, maker: EnvironmentId) {
        let Creation {
            id,
            owner,
            vcpu,
            quotas,
        } = creation;
        let Some(record) = self.environment_mut(owner) else {
            return;
        };
        record.frames_quota = record.frames_quota.saturating_sub(quotas.frames);
        record.tables_quota = record.tables_quota.saturating_sub(quotas.tables);
        record.capabilities_quota = record
            .capabilities_quota
            .saturating_sub(quotas.capabilities);
        let name = record.name;
        let Some(record) = self.environment_mut(id) else {
            return;
        };
        record.name = name;
        record.state = State::Prepared as u32;
        record.abort_reason = AbortReason::None as u32;
        record.exit_status = 0;
        record.vcpu = vcpu;
        record.owner = u32::from(owner.0);
        record.accepts = u32::from(maker.0);
        record.frames_quota = quotas.frames;
        // What leads to its own pages it has from the last one with this number, or gets once.
        record.tables_quota = quotas.tables.saturating_add(KEPT_TABLES);
        record.capabilities_quota = quotas.capabilities;
        let alive = &mut self.tables.summary.environments_alive;
        *alive = alive.saturating_add(1);
    }

    /// Whether `holder` may let an environment run that was made: it has not started.
    pub fn check_start(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        number: u64,
    ) -> Result<EnvironmentId, Error> {
        let id = self.check_control(holder, capability, number)?;
        if self.environment(id)?.state != State::Prepared as u32 {
            return Err(Error::BadState);
        }
        Ok(id)
    }

    /// Whether `holder` may change an environment that was made: it has not ended.
    pub fn check_made(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        number: u64,
    ) -> Result<EnvironmentId, Error> {
        let id = self.check_control(holder, capability, number)?;
        if self.is_alive(id) {
            Ok(id)
        } else {
            Err(Error::BadState)
        }
    }

    /// Who made room for an environment out of its quotas; nobody: it is of the image.
    pub fn owner_of(&self, id: EnvironmentId) -> EnvironmentId {
        let owner = self.environment(id).map_or(0, |record| record.owner);
        EnvironmentId(owner as u16)
    }

    /// Gives the quotas of an environment that has ended, and holds nothing any more, back to its owner.
    pub fn return_quotas(&mut self, id: EnvironmentId) {
        let owner = self.owner_of(id);
        let Some(record) = self.environment_mut(id) else {
            return;
        };
        if owner == EnvironmentId::NOBODY {
            return;
        }
        let frames = core::mem::take(&mut record.frames_quota);
        let tables = core::mem::replace(&mut record.tables_quota, KEPT_TABLES);
        let capabilities = core::mem::take(&mut record.capabilities_quota);
        if let Some(record) = self.environment_mut(owner) {
            record.frames_quota = record.frames_quota.saturating_add(frames);
            record.tables_quota = record
                .tables_quota
                .saturating_add(tables.saturating_sub(KEPT_TABLES));
            record.capabilities_quota = record.capabilities_quota.saturating_add(capabilities);
        }
    }
}
