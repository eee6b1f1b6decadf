//! The registers of a modern virtio function (virtio 1.2, section 4.1.4.3): what they hold, not what follows from it.

use exo_abi::function::QueueService;
use exo_abi::virtio::common;

use crate::devices::ring::RingSetup;

/// The registers of one queue.
///
/// Those of all queues lie side by side; the common configuration shows the selected one, a queue page its own.
#[derive(Clone, Copy, Debug)]
pub struct QueueRegisters {
    /// Size and addresses.
    pub setup: RingSetup,
    /// The driver enabled it.
    pub enabled: bool,
    /// How it is to be served.
    pub service: QueueService,
}

/// The registers of one function.
#[derive(Clone, Debug)]
pub struct Transport {
    /// As in `DEVICE_FEATURE_SELECT`.
    pub device_feature_select: u32,
    /// As in `DRIVER_FEATURE_SELECT`.
    pub driver_feature_select: u32,
    /// Features that the driver accepts.
    pub driver_features: u64,
    /// As in `QUEUE_SELECT`.
    pub queue_select: u16,
    /// The queues.
    pub queues: Vec<QueueRegisters>,
}

impl QueueRegisters {
    /// As after a reset, of a queue with at most `size_max` entries.
    pub fn new(size_max: u16) -> Self {
        Self {
            setup: RingSetup {
                size: size_max,
                ..Default::default()
            },
            enabled: false,
            service: QueueService::Events,
        }
    }

    /// The 64-bit register that `offset` lies in.
    fn address_mut(&mut self, offset: u64) -> Option<&mut u64> {
        match offset & !7 {
            common::QUEUE_DESCRIPTORS => Some(&mut self.setup.descriptors),
            common::QUEUE_AVAILABLE => Some(&mut self.setup.available),
            common::QUEUE_USED => Some(&mut self.setup.used),
            _ => None,
        }
    }

    /// A load of `width` bytes, 4 or 8, from one of the three addresses.
    pub fn read_address(&self, offset: u64, width: usize) -> Option<u64> {
        let whole = offset.is_multiple_of(width as u64) && matches!(width, 4 | 8);
        let address = whole.then(|| { *self }.address_mut(offset).copied());
        Some(address?? >> (8 * (offset & 7)))
    }

    /// A store of `width` bytes, 4 or 8, to one of them.
    pub fn write_address(&mut self, offset: u64, width: usize, value: u64) {
        if !offset.is_multiple_of(width as u64) {
            return;
        }
        let Some(address) = self.address_mut(offset) else {
            return;
        };
        match (width, offset & 4) {
            (8, _) => *address = value,
            (4, 0) => *address = *address >> 32 << 32 | value,
            (4, _) => *address = *address & 0xffff_ffff | value << 32,
            _ => {}
        }
    }
}

impl Transport {
    /// As after a reset: `queues` queues of at most `size_max` entries.
    pub fn new(queues: u16, size_max: u16) -> Self {
        Self {
            device_feature_select: 0,
            driver_feature_select: 0,
            driver_features: 0,
            queue_select: 0,
            queues: vec![QueueRegisters::new(size_max); usize::from(queues)],
        }
    }

    /// A queue, if there is one of this number.
    pub fn queue(&self, queue: u16) -> Option<&QueueRegisters> {
        self.queues.get(usize::from(queue))
    }

    /// The same, to set it up: not once it is enabled.
    pub fn queue_in_setup(&mut self, queue: u16) -> Option<&mut QueueRegisters> {
        let queue = self.queues.get_mut(usize::from(queue));
        queue.filter(|queue| !queue.enabled)
    }

    /// The half of `features` that `select` means.
    pub fn half(features: u64, select: u32) -> u32 {
        match select {
            0 => features as u32,
            1 => (features >> 32) as u32,
            _ => 0,
        }
    }

    /// Sets the half of the driver's features that its selector means.
    pub fn set_driver_features(&mut self, value: u32) {
        let old = self.driver_features;
        self.driver_features = match self.driver_feature_select {
            0 => old >> 32 << 32 | u64::from(value),
            1 => old & 0xffff_ffff | u64::from(value) << 32,
            _ => old,
        };
    }
}
