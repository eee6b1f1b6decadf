//! One virtio function: what follows from its registers being written.
//!
//! Locks are taken in this order: `registers`, then a queue server's, then leaves (translations, MSI-X). Serving threads
//! take only the latter two, so a vCPU that holds `registers` may wait for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use exo_abi::address::PAGE_SIZE;
use exo_abi::function::{
    COMMON_PAGE, DEVICE_PAGE, DOORBELL_STRIDE, FunctionRecord, ISR_PAGE, PCI_COMMAND_BUS_MASTER,
    PCI_COMMAND_MEMORY, QueueService, SERVICE_PAGE, STOP_REASONS, StopReason,
};
use exo_abi::virtio::common;
use exo_abi::virtio::feature::{ACCESS_PLATFORM, INDIRECT, VERSION_1};
use exo_abi::virtio::status::{DRIVER_OK, FEATURES_OK, NEEDS_RESET};

use super::configuration::Configuration;
use super::transport::Transport;
use crate::devices::VirtioDevice;
use crate::devices::endpoint::{DmaMemory, Endpoint};
use crate::devices::ring::{FEATURE_EVENT_INDEX, Ring};
use crate::devices::server::{EVERYTHING, QueueServer};
use crate::devices::serving::{Served, Serving};
use crate::devices::signals::Signals;

/// What the transport and the rings offer, whatever the device.
const FEATURES_COMMON: u64 = VERSION_1 | INDIRECT | FEATURE_EVENT_INDEX;

/// One function on the bus.
pub struct Function {
    record: FunctionRecord,
    device: Arc<dyn VirtioDevice>,
    memory: DmaMemory,
    signals: Arc<Signals>,
    servers: Vec<Arc<QueueServer>>,
    serving: Arc<Serving>,
    configuration: Mutex<Configuration>,
    registers: Mutex<Registers>,
}

struct Registers {
    transport: Transport,
    /// By queue: how it is served while it runs.
    served: Vec<Option<Served>>,
}

/// What a function is made of.
pub struct FunctionParts {
    /// Where it lies.
    pub record: FunctionRecord,
    /// What it is.
    pub device: Arc<dyn VirtioDevice>,
    /// Guest memory, as it sees it.
    pub memory: DmaMemory,
    /// Status and interrupts.
    pub signals: Arc<Signals>,
    /// Its queues.
    pub servers: Vec<Arc<QueueServer>>,
    /// Who serves them.
    pub serving: Arc<Serving>,
}

impl Function {
    /// A function as after power-on.
    pub fn new(parts: FunctionParts) -> Self {
        let configuration = Configuration::new(&parts.record);
        let queues = parts.servers.len();
        let transport = Transport::new(queues as u16, parts.device.queue_size_max());
        Self {
            record: parts.record,
            device: parts.device,
            memory: parts.memory,
            signals: parts.signals,
            servers: parts.servers,
            serving: parts.serving,
            configuration: Mutex::new(configuration),
            registers: Mutex::new(Registers {
                transport,
                served: vec![None; queues],
            }),
        }
    }

    /// Where it lies.
    pub fn record(&self) -> &FunctionRecord {
        &self.record
    }

    /// Status, interrupts and counters.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Its queues.
    pub fn servers(&self) -> &[Arc<QueueServer>] {
        &self.servers
    }

    /// What it is.
    pub fn device(&self) -> &dyn VirtioDevice {
        self.device.as_ref()
    }

    /// Its translations.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        self.memory.iommu()
    }

    fn lock(&self) -> MutexGuard<'_, Registers> {
        self.registers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_configuration(&self) -> MutexGuard<'_, Configuration> {
        self.configuration
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A load from configuration space.
    pub fn read_configuration(&self, offset: u64, data: &mut [u8]) {
        let configuration = self.lock_configuration();
        match configuration.window_access(offset, data.len()) {
            Some(access) => {
                drop(configuration);
                self.read_bar(access.bar, access.offset, data);
            }
            None => configuration.read(offset, data),
        }
    }

    /// A store to configuration space.
    pub fn write_configuration(&self, offset: u64, data: &[u8]) {
        let mut configuration = self.lock_configuration();
        if let Some(access) = configuration.window_access(offset, data.len()) {
            drop(configuration);
            self.write_bar(access.bar, access.offset, data);
            return;
        }
        configuration.write(offset, data);
        let bus_master = configuration.command() & PCI_COMMAND_BUS_MASTER != 0;
        let msix = configuration.msix_control();
        drop(configuration);
        if self.signals.msix.control() != msix {
            self.signals.msix.set_control(msix);
        }
        let endpoint = self.endpoint();
        if endpoint.is_bus_master() != bus_master {
            endpoint.set_bus_master(bus_master);
            if !bus_master {
                self.quiesce(EVERYTHING);
                for server in &self.servers {
                    server.halt(StopReason::RingAddress);
                }
            }
        }
    }

    /// Returns when nothing of this function is under way or in flight to `range`.
    pub fn quiesce(&self, range: std::ops::Range<u64>) {
        for server in &self.servers {
            server.quiesce(range.clone());
        }
    }

    fn answers_memory(&self) -> bool {
        self.lock_configuration().command() & PCI_COMMAND_MEMORY != 0
    }

    /// A load from a BAR.
    pub fn read_bar(&self, bar: u8, offset: u64, data: &mut [u8]) {
        if !self.answers_memory() {
            data.fill(0xff);
            return;
        }
        data.fill(0);
        match bar {
            0 => self.read_registers(offset, data),
            4 => self.signals.msix.read(offset, data),
            _ => {}
        }
    }

    /// A store to a BAR.
    pub fn write_bar(&self, bar: u8, offset: u64, data: &[u8]) {
        if !self.answers_memory() {
            return;
        }
        match bar {
            0 => self.write_registers(offset, data),
            2 => self.ring_doorbell(offset),
            4 => self.signals.msix.write(offset, data),
            _ => {}
        }
    }

    /// A store to a doorbell that no ioeventfd took.
    fn ring_doorbell(&self, offset: u64) {
        let stride = u64::from(DOORBELL_STRIDE);
        let Some(server) = self.servers.get((offset / stride) as usize) else {
            return;
        };
        if offset.is_multiple_of(stride)
            && server.doorbell.write(1).is_ok()
            && self.device.is_synchronous()
        {
            server.process();
        }
    }

    fn read_registers(&self, offset: u64, data: &mut [u8]) {
        let (page, offset) = (offset / PAGE_SIZE, offset % PAGE_SIZE);
        match page {
            COMMON_PAGE => {
                if let Some(value) = self.read_common(offset, data.len()) {
                    copy(data, value);
                }
            }
            ISR_PAGE if offset == 0 => copy(data, self.signals.take_isr().into()),
            DEVICE_PAGE => self.device.read_configuration(offset, data),
            SERVICE_PAGE if data.len() == 4 && offset % 4 == 0 => {
                copy(data, self.read_service(offset).into());
            }
            _ => {}
        }
    }

    fn write_registers(&self, offset: u64, data: &[u8]) {
        let (page, offset) = (offset / PAGE_SIZE, offset % PAGE_SIZE);
        let value = data.iter().rev().fold(0, |sum, &b| sum << 8 | u64::from(b));
        match page {
            COMMON_PAGE => self.write_common(offset, data.len(), value),
            SERVICE_PAGE if data.len() == 4 && offset % 4 == 0 => {
                let mut registers = self.lock();
                let queue = registers.transport.queues.get_mut((offset / 4) as usize);
                if let Some(queue) = queue.filter(|queue| !queue.enabled)
                    && let Some(service) = QueueService::from_number(value as u32)
                {
                    queue.service = service;
                }
            }
            _ => {}
        }
    }

    fn read_service(&self, offset: u64) -> u32 {
        if let Some(offset) = offset.checked_sub(STOP_REASONS) {
            return self.signals.stop_reason((offset / 4) as u16) as u32;
        }
        let registers = self.lock();
        let queue = registers.transport.queues.get((offset / 4) as usize);
        queue.map_or(0, |queue| queue.service as u32)
    }

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
    fn read_common(&self, offset: u64, width: usize) -> Option<u64> {
        let mut registers = self.lock();
        let transport = &mut registers.transport;
        let selected = transport.queue_select;
        let queue = transport.queue().copied();
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
            (common::QUEUE_SIZE, 2) => Some(queue?.setup.size.into()),
            (common::QUEUE_VECTOR, 2) => Some(self.signals.queue_vector(selected).into()),
            (common::QUEUE_ENABLE, 2) => Some(queue?.enabled.into()),
            (common::QUEUE_NOTIFY_OFFSET, 2) => queue.map(|_| selected.into()),
            (_, 4 | 8) if offset.is_multiple_of(width as u64) => {
                let setup = queue?.setup;
                let address = match offset & !7 {
                    common::QUEUE_DESCRIPTORS => setup.descriptors,
                    common::QUEUE_AVAILABLE => setup.available,
                    common::QUEUE_USED => setup.used,
                    _ => return None,
                };
                Some(address >> (8 * (offset & 7)))
            }
            _ => None,
        }
    }

    fn write_common(&self, offset: u64, width: usize, value: u64) {
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
            (common::QUEUE_SIZE, 2) => {
                if let Some(queue) = transport.queue_in_setup() {
                    queue.setup.size = value as u16;
                }
            }
            (common::QUEUE_VECTOR, 2) => {
                let vector = self.check_vector(value as u16);
                self.signals.set_queue_vector(selected, vector);
            }
            (common::QUEUE_ENABLE, 2) if value == 1 => self.enable(&mut registers, selected),
            (_, 4) if offset.is_multiple_of(4) => {
                if let Some((address, upper)) = transport.queue_address(offset) {
                    *address = match upper {
                        false => *address >> 32 << 32 | value,
                        true => *address & 0xffff_ffff | value << 32,
                    };
                }
            }
            (_, 8) if offset.is_multiple_of(8) => {
                if let Some((address, _)) = transport.queue_address(offset) {
                    *address = value;
                }
            }
            _ => {}
        }
    }

    /// A vector that is not there reads back as none (section 4.1.5.1.2.1).
    fn check_vector(&self, vector: u16) -> u16 {
        if u32::from(vector) < self.record.vectors {
            vector
        } else {
            exo_abi::virtio::NO_VECTOR
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

    fn enable(&self, registers: &mut Registers, queue: u16) {
        if self.signals.status() & FEATURES_OK == 0 {
            return;
        }
        let Some(selected) = registers.transport.queue_in_setup() else {
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
        let (Some(settings), Some(served), Some(server)) = (
            registers.transport.queues.get(index),
            registers.served.get_mut(index),
            self.servers.get(index),
        ) else {
            return;
        };
        if !settings.enabled || served.is_some() {
            return;
        }
        let ring = match Ring::new(settings.setup, features, self.memory.clone()) {
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

    /// Resets the device; returns when nothing of it is in flight.
    pub fn reset(&self) {
        self.reset_locked(&mut self.lock());
    }

    fn reset_locked(&self, registers: &mut Registers) {
        for (server, served) in self.servers.iter().zip(&mut registers.served) {
            if let Some(how) = served.take() {
                self.serving.remove(server, how);
            }
            server.end();
        }
        let queues = self.servers.len() as u16;
        registers.transport = Transport::new(queues, self.device.queue_size_max());
        self.device.reset();
        self.signals.reset();
    }
}

/// The low bytes of `value`.
fn copy(data: &mut [u8], value: u64) {
    for (byte, value) in data.iter_mut().zip(value.to_le_bytes()) {
        *byte = value;
    }
}
