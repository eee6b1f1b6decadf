//! Disk extents in the ledger: which function shows which part of its disk.

use exo_abi::capability::CapabilityEntry;
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::Ledger;

impl Ledger<'_> {
    /// Whether `holder` may have a function that it has bound show an extent: what the extent is, and the index of the function.
    /// Order of checks: extent and its kind, function and its kind, the extent's rights, whether the function shows that disk,
    /// then whether the function is bound, and neither of the two bound to another.
    pub fn check_bind_extent(
        &self,
        holder: EnvironmentId,
        extent: Capability,
        function: Capability,
    ) -> Result<(CapabilityEntry, u32), Error> {
        let entry = self.capability(holder, extent)?;
        if entry.kind != Kind::Extent as u8 {
            return Err(Error::WrongKind);
        }
        let index = self.function_capability(holder, function)?;
        if !Rights(u32::from(entry.rights)).contains(Rights::READ) {
            return Err(Error::NotPermitted);
        }
        let shows = self.function(index)?;
        if shows.record.disk != entry.resource.saturating_add(1) {
            return Err(Error::OutOfRange);
        }
        let bound = self.capability(holder, function)?.bound != 0;
        if !bound || entry.bound != 0 || shows.extent != 0 {
            return Err(Error::BadState);
        }
        Ok((*entry, index))
    }

    /// Records that function `index` shows `extent`.
    pub fn commit_bind_extent(&mut self, extent: Capability, index: u32) {
        if let Some(function) = self.tables.functions.get_mut(index as usize) {
            function.extent = extent.slot().saturating_add(1);
        }
        if let Some(entry) = self.slot_mut(extent.slot()) {
            entry.bound = index;
        }
    }

    /// Records that function `index` shows no extent any more. Whether it did.
    pub fn commit_unbind_extent(&mut self, index: u32) -> bool {
        let Some(function) = self.tables.functions.get_mut(index as usize) else {
            return false;
        };
        let Some(slot) = core::mem::take(&mut function.extent).checked_sub(1) else {
            return false;
        };
        if let Some(entry) = self.slot_mut(slot) {
            entry.bound = 0;
        }
        true
    }
}
