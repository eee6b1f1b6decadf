//! Device functions in the ledger: whose each is, and whether it is bound.

use exo_abi::function::{FunctionEntry, FunctionRecord, VECTORS_MAX, queue_vector};
use exo_abi::{Capability, EnvironmentId, Error, Kind};

use crate::Ledger;

/// Bit v: vector v is that of a queue that is bound by itself.
pub(crate) fn vectors_of_queues(function: &FunctionEntry) -> u64 {
    u64::from(function.queues) << queue_vector(0)
}

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

    /// Whether `holder` may route vector `vector` of a function, or of a queue, that it has bound: it is there, and not routed
    /// yet. A queue that is bound by itself has its own vector, which then is not the function's. Index and record of the function.
    pub fn check_vector(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        vector: u64,
    ) -> Result<(u32, FunctionRecord), Error> {
        let entry = self.capability(holder, capability)?;
        let (index, queue) = match Kind::from_number(entry.kind) {
            Some(Kind::Function) => (entry.first as u32, None),
            Some(Kind::Queue) => (entry.resource, Some(entry.first)),
            _ => return Err(Error::WrongKind),
        };
        if entry.bound == 0 {
            return Err(Error::BadState);
        }
        let function = self.function(index)?;
        let own = queue.is_none_or(|queue| vector == u64::from(queue_vector(queue as u16)));
        if !own || vector >= u64::from(function.record.vectors.min(VECTORS_MAX)) {
            return Err(Error::BadArgument);
        }
        let lent = queue.is_none() && vectors_of_queues(function) >> vector & 1 != 0;
        let routed = function.routes.get(vector as usize);
        if lent || routed.is_none_or(|&route| route != 0) {
            return Err(Error::BadState);
        }
        Ok((index, function.record))
    }

    /// Whether a vector is that of a queue that is bound by itself.
    pub fn is_vector_of_queue(&self, index: u32, vector: u64) -> bool {
        self.function(index)
            .is_ok_and(|function| vectors_of_queues(function) >> (vector & 63) & 1 != 0)
    }

    /// Records the route of a vector: to which vCPU, and which of its slots.
    pub fn commit_vector(&mut self, index: u32, vector: u64, vcpu: usize, slot: usize) {
        let function = self.tables.functions.get_mut(index as usize);
        if let Some(route) = function.and_then(|entry| entry.routes.get_mut(vector as usize)) {
            *route = (vcpu as u16) << 8 | (slot as u16).saturating_add(1);
        }
    }

    /// Records that a vector is routed no more; vCPU and slot, if it was.
    pub fn take_route(&mut self, index: u32, vector: usize) -> Option<(usize, usize)> {
        let function = self.tables.functions.get_mut(index as usize)?;
        let route = core::mem::take(function.routes.get_mut(vector)?);
        let slot = (route & 0xff).checked_sub(1)?;
        Some((usize::from(route >> 8), usize::from(slot)))
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
        self.commit_unbind_extent(index as u32);
        if let Some(function) = self.tables.functions.get_mut(index) {
            function.bound = 0;
            let kept = vectors_of_queues(function);
            for (vector, route) in function.routes.iter_mut().enumerate() {
                if kept >> vector & 1 == 0 {
                    *route = 0;
                }
            }
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
