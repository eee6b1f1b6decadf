//! Device functions in the ledger: whose each is, and whether it is bound.

use exo_abi::function::{FunctionEntry, FunctionRecord, VECTORS_MAX};
use exo_abi::{EnvironmentId, Error};

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

    /// Whether a function may be bound: it is not yet.
    pub fn check_bind(&self, index: u32) -> Result<FunctionRecord, Error> {
        let entry = self.function(index)?;
        if entry.bound != 0 {
            Err(Error::BadState)
        } else {
            Ok(entry.record)
        }
    }

    /// Records the binding.
    pub fn commit_bind(&mut self, index: u32) {
        if let Some(entry) = self.tables.functions.get_mut(index as usize) {
            entry.bound = 1;
        }
    }

    /// Whether vector `vector` of a bound function may be routed: the function has it, and it is not routed yet.
    pub fn check_vector(&self, index: u32, vector: u64) -> Result<FunctionRecord, Error> {
        let entry = self.function(index)?;
        if entry.bound == 0 {
            return Err(Error::BadState);
        }
        if vector >= u64::from(entry.record.vectors.min(VECTORS_MAX)) {
            return Err(Error::BadArgument);
        }
        if entry.vectors >> vector & 1 != 0 {
            return Err(Error::BadState);
        }
        Ok(entry.record)
    }

    /// Records the route.
    pub fn commit_vector(&mut self, index: u32, vector: u64) {
        if let Some(entry) = self.tables.functions.get_mut(index as usize) {
            entry.vectors |= 1 << (vector & 63);
        }
    }

    /// The function is nobody's, and not bound, unless it is somebody else's by now.
    pub(crate) fn release_function(&mut self, index: u32, holder: EnvironmentId) {
        if let Some(entry) = self.tables.functions.get_mut(index as usize)
            && entry.owner == holder
        {
            entry.owner = EnvironmentId::NOBODY;
            entry.bound = 0;
            entry.mappings = 0;
            entry.vectors = 0;
        }
    }
}
