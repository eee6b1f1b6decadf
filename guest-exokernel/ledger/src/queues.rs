//! Queues in the ledger: which are bound by themselves, apart from their function.

use exo_abi::capability::CapabilityEntry;
use exo_abi::function::{FunctionRecord, queue_vector};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::Ledger;

/// A queue of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Index of its function.
    pub function: u32,
    /// Its number there.
    pub number: u32,
    /// Its function.
    pub record: FunctionRecord,
}

impl Ledger<'_> {
    /// Whether `holder` may bind the queue that a capability names. Order of checks: capability, kind, rights, count, then
    /// whether the function is bound, and the queue is not.
    pub fn check_bind_queue(
        &self,
        holder: EnvironmentId,
        capability: Capability,
    ) -> Result<Queue, Error> {
        let entry = self.capability(holder, capability)?;
        if entry.kind != Kind::Queue as u8 {
            return Err(Error::WrongKind);
        }
        if !Rights(u32::from(entry.rights)).contains(Rights::READ_WRITE) {
            return Err(Error::NotPermitted);
        }
        if entry.count != 1 {
            return Err(Error::BadCount);
        }
        let queue = self.queue(entry)?;
        let function = self.function(queue.function)?;
        if function.bound == 0 || function.queues >> queue.number & 1 != 0 {
            return Err(Error::BadState);
        }
        Ok(queue)
    }

    /// The queue that an entry of that kind names.
    pub fn queue(&self, entry: &CapabilityEntry) -> Result<Queue, Error> {
        let record = self.function(entry.resource)?.record;
        let number = entry.first as u32;
        if number >= record.queues.min(u32::BITS) {
            return Err(Error::OutOfRange);
        }
        Ok(Queue {
            function: entry.resource,
            number,
            record,
        })
    }

    /// Records that the holder of `capability` has bound `queue`.
    pub fn commit_bind_queue(&mut self, capability: Capability, queue: Queue) {
        if let Some(function) = self.tables.functions.get_mut(queue.function as usize) {
            function.queues |= 1 << (queue.number & 31);
        }
        if let Some(entry) = self.slot_mut(capability.slot()) {
            entry.bound = 1;
        }
    }

    /// Records that the queue of `capability` is bound no more, if it was by this capability.
    pub fn commit_unbind_queue(&mut self, capability: Capability) {
        let Some(entry) = self.slot_mut(capability.slot()) else {
            return;
        };
        if core::mem::take(&mut entry.bound) == 0 {
            return;
        }
        let (function, queue) = (entry.resource, entry.first as u32);
        if let Some(function) = self.tables.functions.get_mut(function as usize) {
            function.queues &= !(1 << (queue & 31));
            let vector = usize::from(queue_vector(queue as u16));
            if let Some(route) = function.routes.get_mut(vector) {
                *route = 0;
            }
        }
    }
}
