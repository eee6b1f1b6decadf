//! What a function, or one of its queues, may reach by DMA: its translations, and guest memory seen through them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use vm_memory::iommu::{Error, IotlbIterator, IovaRange};
use vm_memory::{GuestAddress, Iommu, IommuMemory, Iotlb, Permissions};

use crate::memory::GuestMemory;

/// Guest memory as one function or queue sees it: every access is translated, and refused where nothing is mapped.
pub type DmaMemory = IommuMemory<GuestMemory, Endpoint>;

/// The translations of a function: a copy of those of the domain that it is attached to, and none while it is not.
///
/// A queue has an endpoint too. While that is separate, which is while it is attached to a domain itself, its translations
/// count; else those of its function do.
#[derive(Debug, Default)]
pub struct Endpoint {
    translations: RwLock<Iotlb>,
    bus_master: AtomicBool,
    /// Of a queue: its function's.
    function: Option<Arc<Endpoint>>,
    separate: AtomicBool,
}

impl Endpoint {
    /// The endpoint of a queue.
    pub fn of_queue(function: Arc<Endpoint>) -> Self {
        Self {
            function: Some(function),
            ..Self::default()
        }
    }

    /// Whether the endpoint of a queue counts, and not its function's. No access of the queue may be under way.
    pub fn set_separate(&self, separate: bool) {
        self.separate.store(separate, Ordering::SeqCst);
    }

    /// Whether this is the endpoint of a queue, and counts.
    pub fn is_separate(&self) -> bool {
        self.separate.load(Ordering::SeqCst)
    }

    /// Whose translations count.
    fn effective(&self) -> &Self {
        match &self.function {
            Some(function) if !self.is_separate() => function,
            _ => self,
        }
    }

    /// Follows the bus master bit of the function's command register.
    pub fn set_bus_master(&self, enabled: bool) {
        self.bus_master.store(enabled, Ordering::SeqCst);
    }

    /// Whether the function may start DMA at all.
    pub fn is_bus_master(&self) -> bool {
        let function = self.function.as_deref().unwrap_or(self);
        function.bus_master.load(Ordering::SeqCst)
    }

    /// Lets the function reach `length` bytes at `address`. The range must not wrap around, nor be empty.
    pub fn map(&self, address: u64, length: u64, permissions: Permissions) {
        let address = GuestAddress(address);
        // Only a misuse of ours could make this fail; nothing is mapped then, which is safe.
        let _ =
            self.lock_translations()
                .set_mapping(address, address, length as usize, permissions);
    }

    /// Ends that. Accesses that were translated before may still be under way: see `QueueServer::quiesce`.
    pub fn unmap(&self, address: u64, length: u64) {
        self.lock_translations()
            .invalidate_mapping(GuestAddress(address), length as usize);
    }

    /// Ends all.
    pub fn unmap_all(&self) {
        self.lock_translations().invalidate_all();
    }

    fn lock_translations(&self) -> std::sync::RwLockWriteGuard<'_, Iotlb> {
        self.translations
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Iommu for Endpoint {
    type IotlbGuard<'a> = RwLockReadGuard<'a, Iotlb>;

    fn translate(
        &self,
        iova: GuestAddress,
        length: usize,
        access: Permissions,
    ) -> Result<IotlbIterator<Self::IotlbGuard<'_>>, Error> {
        let refuse = |reason: &str| Error::CannotResolve {
            iova_range: IovaRange { base: iova, length },
            reason: reason.to_string(),
        };
        if !self.is_bus_master() {
            return Err(refuse("the function may not master the bus"));
        }
        // Iotlb::lookup adds without a check.
        if iova.0.checked_add(length as u64).is_none() {
            return Err(refuse("the range wraps around"));
        }
        let translations = self
            .effective()
            .translations
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Iotlb::lookup(translations, iova, length, access)
            .map_err(|_| refuse("not mapped for this access"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::{Bytes, GuestMemory as _};

    fn memory() -> DmaMemory {
        let ram = GuestMemory::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap();
        IommuMemory::new(ram, Endpoint::default(), true, ())
    }

    #[test]
    fn nothing_is_reached_without_a_mapping_and_bus_mastering() {
        let memory = memory();
        assert!(memory.read_obj::<u64>(GuestAddress(0x1000)).is_err());
        memory.iommu().map(0x1000, 0x1000, Permissions::ReadWrite);
        assert!(memory.read_obj::<u64>(GuestAddress(0x1000)).is_err());
        memory.iommu().set_bus_master(true);
        memory.write_obj(7u64, GuestAddress(0x1ff8)).unwrap();
        assert!(memory.write_obj(7u64, GuestAddress(0x1ffc)).is_err());
        memory.iommu().unmap(0x1000, 0x1000);
        assert!(memory.read_obj::<u64>(GuestAddress(0x1000)).is_err());
    }

    #[test]
    fn what_may_only_be_read_is_not_written() {
        let memory = memory();
        memory.iommu().set_bus_master(true);
        memory.iommu().map(0x1000, 0x1000, Permissions::Read);
        memory.read_obj::<u64>(GuestAddress(0x1000)).unwrap();
        assert!(memory.write_obj(1u64, GuestAddress(0x1000)).is_err());
    }

    #[test]
    fn ranges_that_wrap_around_are_refused() {
        let memory = memory();
        memory.iommu().set_bus_master(true);
        memory.iommu().map(0, 0x10000, Permissions::ReadWrite);
        assert!(!memory.check_range(GuestAddress(u64::MAX - 3), 8, Permissions::Read));
        assert!(memory.read_obj::<u64>(GuestAddress(u64::MAX - 3)).is_err());
    }
}
