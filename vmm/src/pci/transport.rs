//! The registers of a modern virtio function (virtio 1.2, section 4.1.4.3): what they hold, not what follows from it.

use exo_abi::function::QueueService;
use exo_abi::virtio::common;

use crate::devices::ring::RingSetup;

/// The registers of one queue.
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

impl Transport {
    /// As after a reset: `queues` queues of at most `size_max` entries.
    pub fn new(queues: u16, size_max: u16) -> Self {
        let queue = QueueRegisters {
            setup: RingSetup {
                size: size_max,
                ..Default::default()
            },
            enabled: false,
            service: QueueService::Events,
        };
        Self {
            device_feature_select: 0,
            driver_feature_select: 0,
            driver_features: 0,
            queue_select: 0,
            queues: vec![queue; usize::from(queues)],
        }
    }

    /// The selected queue, if there is one.
    pub fn queue(&self) -> Option<&QueueRegisters> {
        self.queues.get(usize::from(self.queue_select))
    }

    /// The same, to set it up: not once it is enabled.
    pub fn queue_in_setup(&mut self) -> Option<&mut QueueRegisters> {
        self.queues
            .get_mut(usize::from(self.queue_select))
            .filter(|queue| !queue.enabled)
    }

    /// The 64-bit register of the selected queue that `offset`, a multiple of 4, lies in, and whether it is the upper half.
    pub fn queue_address(&mut self, offset: u64) -> Option<(&mut u64, bool)> {
        let setup = &mut self.queue_in_setup()?.setup;
        let address = match offset & !7 {
            common::QUEUE_DESCRIPTORS => &mut setup.descriptors,
            common::QUEUE_AVAILABLE => &mut setup.available,
            common::QUEUE_USED => &mut setup.used,
            _ => return None,
        };
        Some((address, offset & 4 != 0))
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
