//! Device functions in the ledger: whose each is, and whether it is bound.

use exo_abi::function::{FunctionEntry, FunctionRecord, VECTORS_MAX};
use exo_abi::{Capability, EnvironmentId, Error};

use crate::Ledger;

impl Ledger<'_> {
    /// Records a function of the machine.
    pub fn add_function(&mut self, index: u32, record: FunctionRecord, owner: EnvironmentId) {
        if let Some(entry) = self.tables.functions.get_mut(index as usize) {
            entry.record = record;
            entry.owner = owner;
        }
    }

    /// Says whose a function is, from now on.
    pub fn give_function(&mut self, index: u32, owner: EnvironmentId) {
        if let Some(entry) = self.tables.functions.get_mut(index as usize) {
            entry.owner = owner;
        }
    }

    /// The entry of a function.
    pub fn function(&self, index: u32) -> Result<&FunctionEntry, Error> {
        self.tables
            .functions
            .get(index as usize)
            .ok_or(Error::OutOfRange)
    }

    /// Whether a function may be bound: it is not yet, by nobody.
    pub fn check_bind(&self, index: u32) -> Result<FunctionRecord, Error> {
        let entry = self.function(index)?;
        if entry.bound != 0 {
            Err(Error::BadState)
        } else {
            Ok(entry.record)
        }
    }

    /// Records that the holder of `capability`, which names function `index`, has bound it.
    pub fn commit_bind(&mut self, capability: Capability, index: u32) {
        if let Some(function) = self.tables.functions.get_mut(index as usize) {
            function.bound = 1;
        }
        if let Some(entry) = self.slot_mut(capability.slot()) {
            entry.bound = 1;
        }
    }

    /// Whether `holder` may route vector `vector` of a function that it has bound: the function has it, and it is not routed
    /// yet. Index and record of the function.
    pub fn check_vector(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        vector: u64,
    ) -> Result<(u32, FunctionRecord), Error> {
        let index = self.function_capability(holder, capability)?;
        if self.capability(holder, capability)?.bound == 0 {
            return Err(Error::BadState);
        }
        let function = self.function(index)?;
        if vector >= u64::from(function.record.vectors.min(VECTORS_MAX)) {
            return Err(Error::BadArgument);
        }
        if function.vectors >> vector & 1 != 0 {
            return Err(Error::BadState);
        }
        Ok((index, function.record))
    }

    /// Records the route.
    pub fn commit_vector(&mut self, index: u32, vector: u64) {
        if let Some(entry) = self.tables.functions.get_mut(index as usize) {
            entry.vectors |= 1 << (vector & 63);
        }
    }

    /// Records that the function of `capability` is bound no more, if it was by this capability.
    pub fn commit_unbind(&mut self, capability: Capability) {
        let Some(entry) = self.slot_mut(capability.slot()) else {
            return;
        };
        if core::mem::take(&mut entry.bound) == 0 {
            return;
        }
        let index = entry.first as usize;
        if let Some(function) = self.tables.functions.get_mut(index) {
            function.bound = 0;
            function.vectors = 0;
        }
    }

    /// The function is nobody's, unless it is somebody else's by now.
    pub(crate) fn release_function(&mut self, index: u32, holder: EnvironmentId) {
        if let Some(entry) = self.tables.functions.get_mut(index as usize)
            && entry.owner == holder
        {
            entry.owner = EnvironmentId::NOBODY;
        }
    }
}
