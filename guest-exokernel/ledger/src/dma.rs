//! DMA rights in the ledger: children of the capability of their frames, so that those cannot be given back before them.

use exo_abi::capability::DEPTH_MAX;
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::Ledger;
use crate::capabilities::Name;
use crate::derivation::Derivation;

impl Ledger<'_> {
    /// Whether `holder` may put these frames into its domain with `rights`. Order of checks: rights, capability, its kind,
    /// its rights, count, range, depth, quotas, slots.
    pub fn check_dma_map(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Result<(), Error> {
        if rights == Rights::NONE || !Rights::READ_WRITE.contains(rights) {
            return Err(Error::BadArgument);
        }
        self.check_dma_frames(
            holder,
            capability,
            &Name::new(Kind::Dma, first, count),
            rights,
        )?;
        let environment = self.environment(holder)?;
        if environment.dma_mappings >= environment.dma_mappings_quota {
            return Err(Error::Quota);
        }
        self.check_capability_quota(holder)
    }

    fn check_dma_frames(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        name: &Name,
        rights: Rights,
    ) -> Result<(), Error> {
        let entry = self.capability(holder, capability)?;
        if !matches!(
            Kind::from_number(entry.kind),
            Some(Kind::Frames | Kind::Blocks)
        ) {
            return Err(Error::WrongKind);
        }
        if !Rights(u32::from(entry.rights)).contains(rights) {
            return Err(Error::NotPermitted);
        }
        if name.count == 0 {
            return Err(Error::BadCount);
        }
        if !name.lies_in((entry.first, entry.count)) {
            return Err(Error::OutOfRange);
        }
        if entry.depth >= DEPTH_MAX {
            return Err(Error::Quota);
        }
        Ok(())
    }

    /// Records frames of `capability` as in the holder's domain, after [`Self::check_dma_map`]. Constant cost.
    pub fn commit_dma_map(
        &mut self,
        holder: EnvironmentId,
        capability: Capability,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Capability {
        if let Some(environment) = self.environment_mut(holder) {
            environment.dma_mappings = environment.dma_mappings.saturating_add(1);
        }
        let name = Name::new(Kind::Dma, first, count);
        self.commit_derive(holder, capability, Derivation::new(name, rights))
    }

    /// Records frames as out of it.
    pub(crate) fn remove_dma(&mut self, holder: EnvironmentId) {
        if let Some(environment) = self.environment_mut(holder) {
            environment.dma_mappings = environment.dma_mappings.saturating_sub(1);
        }
    }
}
