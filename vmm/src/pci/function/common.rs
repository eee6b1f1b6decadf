//! The common configuration of a function (virtio 1.2, section 4.1.4.3): what follows from its registers being written.

use exo_abi::function::{QueueService, StopReason, queue_vector};
use exo_abi::virtio::feature::{ACCESS_PLATFORM, INDIRECT, VERSION_1};
use exo_abi::virtio::status::{DRIVER_OK, FEATURES_OK, NEEDS_RESET};
use exo_abi::virtio::{NO_VECTOR, common};

use super::{Function, Registers};
use crate::devices::ring::{FEATURE_EVENT_INDEX, Ring};
use crate::devices::serving::Served;
use crate::pci::transport::{QueueRegisters, Transport};

/// What the transport and the rings offer, whatever the device.
const FEATURES_COMMON: u64 = VERSION_1 | INDIRECT | FEATURE_EVENT_INDEX;

impl Function {
    /// What a driver must accept: the addresses that it gives are translated, and it has to know.
    fn features_required(&self) -> u64 {
        match self.memory.get_iommu_enabled() {
            true => VERSION_1 | ACCESS_PLATFORM,
            false => VERSION_1,
        }
    }

    fn features(&self) -> u64 {
        self.device.features() | FEATURES_COMMON | self.features_required()
    }

    /// The register at `offset`, read with its own width (section 4.1.3.1), or half of a 64-bit one.
    pub(super) fn read_common(&self, offset: u64, width: usize) -> Option<u64> {
        let registers = self.lock();
        let transport = &registers.transport;
        let selected = transport.queue_select;
        let queue = transport.queue(selected).copied();
        let half = |select| Some(u64::from(Transport::half(self.features(), select)));
        match (offset, width) {
            (common::DEVICE_FEATURE_SELECT, 4) => Some(transport.device_feature_select.into()),
            (common::DEVICE_FEATURE, 4) => half(transport.device_feature_select),
            (common::DRIVER_FEATURE_SELECT, 4) => Some(transport.driver_feature_select.into()),
            (common::DRIVER_FEATURE, 4) => {
                let select = transport.driver_feature_select;
                Some(Transport::half(transport.driver_features, select).into())
            }
            (common::CONFIGURATION_VECTOR, 2) => Some(self.signals.configuration_vector().into()),
            (common::QUEUES, 2) => Some(self.servers.len() as u64),
            (common::STATUS, 1) => Some(self.signals.status().into()),
            (common::CONFIGURATION_GENERATION, 1) => Some(self.device.generation().into()),
            (common::QUEUE_SELECT, 2) => Some(selected.into()),
            _ => {
                let queue = queue.filter(|_| !self.is_separate(selected))?;
                self.read_queue_register(&queue, selected, offset, width)
            }
        }
    }

    /// A register of one queue, which has the same place in the common configuration and in the page of the queue.
    pub(super) fn read_queue_register(
        &self,
        registers: &QueueRegisters,
        queue: u16,
        offset: u64,
        width: usize,
    ) -> Option<u64> {
        match (offset, width) {
            (common::QUEUE_SIZE, 2) => Some(registers.setup.size.into()),
            (common::QUEUE_VECTOR, 2) => Some(self.signals.queue_vector(queue).into()),
            (common::QUEUE_ENABLE, 2) => Some(registers.enabled.into()),
            (common::QUEUE_NOTIFY_OFFSET, 2) => Some(queue.into()),
            _ => registers.read_address(offset, width),
        }
    }

    pub(super) fn write_common(&self, offset: u64, width: usize, value: u64) {
        let mut registers = self.lock();
        let transport = &mut registers.transport;
        let selected = transport.queue_select;
        match (offset, width) {
            (common::DEVICE_FEATURE_SELECT, 4) => transport.device_feature_select = value as u32,
            (common::DRIVER_FEATURE_SELECT, 4) => transport.driver_feature_select = value as u32,
            (common::DRIVER_FEATURE, 4) if self.signals.status() & FEATURES_OK == 0 => {
                transport.set_driver_features(value as u32);
            }
            (common::CONFIGURATION_VECTOR, 2) => {
                let vector = self.check_vector(value as u16);
                self.signals.set_configuration_vector(vector);
            }
            (common::STATUS, 1) => self.write_status(&mut registers, value as u8),
            (common::QUEUE_SELECT, 2) => transport.queue_select = value as u16,
            _ if self.is_separate(selected) => {}
            (common::QUEUE_VECTOR, 2) => {
                let vector = self.check_vector(value as u16);
                self.signals.set_queue_vector(selected, vector);
            }
            (common::QUEUE_ENABLE, 2) if value == 1 => self.enable(&mut registers, selected),
            _ => {
                if let Some(queue) = transport.queue_in_setup(selected) {
                    write_setup(queue, offset, width, value);
                }
            }
        }
    }

    /// A vector that is not there, or belongs to a queue that is bound by itself, reads back as none (section 4.1.5.1.2.1).
    fn check_vector(&self, vector: u16) -> u16 {
        let mut queues = 0..self.servers.len() as u16;
        let taken = queues.any(|queue| queue_vector(queue) == vector && self.is_separate(queue));
        if u32::from(vector) < self.record.vectors && !taken {
            vector
        } else {
            NO_VECTOR
        }
    }

    fn write_status(&self, registers: &mut Registers, value: u8) {
        if value == 0 {
            self.reset_locked(registers);
            return;
        }
        let old = self.signals.status();
        // A driver must not clear bits; NEEDS_RESET is the device's.
        let mut new = value & !NEEDS_RESET & !old;
        let accepted = registers.transport.driver_features;
        let required = self.features_required();
        let negotiable = accepted & !self.features() == 0 && accepted & required == required;
        if new & FEATURES_OK != 0 && !negotiable {
            new &= !FEATURES_OK;
        }
        if (old | new) & FEATURES_OK == 0 {
            new &= !DRIVER_OK;
        }
        self.signals.raise_status(new);
        if new & DRIVER_OK != 0 {
            for queue in 0..registers.transport.queues.len() {
                self.start(registers, queue as u16);
            }
        }
    }

    pub(super) fn enable(&self, registers: &mut Registers, queue: u16) {
        if self.signals.status() & FEATURES_OK == 0 {
            return;
        }
        let Some(selected) = registers.transport.queue_in_setup(queue) else {
            return;
        };
        if let Err(reason) = selected.setup.check_size(self.device.queue_size_max()) {
            self.signals.stop(queue, reason);
            return;
        }
        selected.enabled = true;
        if self.signals.status() & DRIVER_OK != 0 {
            self.start(registers, queue);
        }
    }

    /// Starts a queue that is enabled and does not run yet.
    fn start(&self, registers: &mut Registers, queue: u16) {
        let index = usize::from(queue);
        let features = registers.transport.driver_features;
        let (Some(settings), Some(served), Some(server), Some(memory)) = (
            registers.transport.queues.get(index),
            registers.served.get_mut(index),
            self.servers.get(index),
            self.queue_memory.get(index),
        ) else {
            return;
        };
        if !settings.enabled || served.is_some() {
            return;
        }
        let ring = match Ring::new(settings.setup, features, memory.clone()) {
            Ok(ring) => ring,
            Err(reason) => return self.signals.stop(queue, reason),
        };
        let handler = match self.device.handler(queue, settings.service, ring.size()) {
            Ok(handler) => handler,
            Err(_) => return self.signals.stop(queue, StopReason::Host),
        };
        let polled = settings.service == QueueService::Polled;
        let events = server.start(ring, handler, polled);
        if self.device.is_synchronous() {
            *served = Some(Served::Synchronously);
            return;
        }
        match self.serving.add(server, settings.service, events) {
            Ok(how) => *served = Some(how),
            Err(_) => {
                server.end();
                self.signals.stop(queue, StopReason::Host);
            }
        }
    }
}

/// Size and addresses of a queue that is not enabled yet.
pub(super) fn write_setup(queue: &mut QueueRegisters, offset: u64, width: usize, value: u64) {
    match (offset, width) {
        (common::QUEUE_SIZE, 2) => queue.setup.size = value as u16,
        _ => queue.write_address(offset, width, value),
    }
}
