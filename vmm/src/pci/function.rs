//! One virtio function: its configuration space, its BARs, and what lies in them.
//!
//! Locks are taken in this order: `registers`, then a queue server's, then leaves (translations, MSI-X). Serving threads
//! take only the latter two, so a vCPU that holds `registers` may wait for them.

mod common;
mod queue_page;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use exo_abi::address::PAGE_SIZE;
use exo_abi::function::{
    COMMON_PAGE, DEVICE_PAGE, DOORBELL_STRIDE, FunctionRecord, ISR_PAGE, PCI_COMMAND_BUS_MASTER,
    PCI_COMMAND_MEMORY, QueueService, REGISTER_PAGES, SERVICE_PAGE, STOP_REASONS, StopReason,
};
use vm_memory::IommuMemory;

use super::configuration::Configuration;
use super::transport::{QueueRegisters, Transport};
use crate::devices::VirtioDevice;
use crate::devices::endpoint::{DmaMemory, Endpoint};
use crate::devices::server::{EVERYTHING, QueueServer};
use crate::devices::serving::{Served, Serving};
use crate::devices::signals::Signals;
use crate::memory::GuestMemory;

/// One function on the bus.
pub struct Function {
    record: FunctionRecord,
    device: Arc<dyn VirtioDevice>,
    /// Guest memory as the function sees it, and as each queue does.
    memory: DmaMemory,
    queue_memory: Vec<DmaMemory>,
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
    /// Guest memory.
    pub memory: GuestMemory,
    /// Whether what it sees of that is what the IOMMU says.
    pub translated: bool,
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
        let seen_from =
            |endpoint| IommuMemory::new(parts.memory.clone(), endpoint, parts.translated, ());
        let memory: DmaMemory = seen_from(Endpoint::default());
        let queue_memory = (0..queues)
            .map(|_| seen_from(Endpoint::of_queue(memory.iommu().clone())))
            .collect();
        Self {
            record: parts.record,
            device: parts.device,
            memory,
            queue_memory,
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

    /// Those of a queue.
    pub fn queue_endpoint(&self, queue: u16) -> Option<&Arc<Endpoint>> {
        self.queue_memory
            .get(usize::from(queue))
            .map(IommuMemory::iommu)
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
            REGISTER_PAGES.. => self.read_queue_page((page - REGISTER_PAGES) as u16, offset, data),
            _ => {}
        }
    }

    fn write_registers(&self, offset: u64, data: &[u8]) {
        let (page, offset) = (offset / PAGE_SIZE, offset % PAGE_SIZE);
        let value = data.iter().rev().fold(0, |sum, &b| sum << 8 | u64::from(b));
        match page {
            COMMON_PAGE => self.write_common(offset, data.len(), value),
            SERVICE_PAGE if data.len() == 4 && offset % 4 == 0 => {
                let queue = (offset / 4) as u16;
                let mut registers = self.lock();
                if !self.is_separate(queue) {
                    registers.set_service(queue, value);
                }
            }
            REGISTER_PAGES.. => {
                let queue = (page - REGISTER_PAGES) as u16;
                self.write_queue_page(queue, offset, data.len(), value);
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

    /// Resets the device; returns when nothing of it is in flight.
    pub fn reset(&self) {
        self.reset_locked(&mut self.lock());
    }

    fn reset_locked(&self, registers: &mut Registers) {
        let queues = 0..self.servers.len() as u16;
        let cut_off = queues.clone().filter(|&queue| {
            let registers = registers.transport.queue(queue);
            self.is_separate(queue) && registers.is_some_and(|registers| registers.enabled)
        });
        let cut_off: Vec<u16> = cut_off.collect();
        for queue in queues.clone() {
            self.end_queue(registers, queue);
        }
        registers.transport = Transport::new(queues.end, self.device.queue_size_max());
        self.device.reset();
        self.signals.reset();
        for queue in cut_off {
            self.signals.stop(queue, StopReason::Reset);
        }
    }

    /// Ends a queue; returns when nothing of it is in flight. Its registers are then as after a reset.
    fn end_queue(&self, registers: &mut Registers, queue: u16) {
        let index = usize::from(queue);
        let Some(server) = self.servers.get(index) else {
            return;
        };
        if let Some(how) = registers.served.get_mut(index).and_then(Option::take) {
            self.serving.remove(server, how);
        }
        server.end();
        if let Some(registers) = registers.transport.queues.get_mut(index) {
            *registers = QueueRegisters::new(self.device.queue_size_max());
        }
    }
}

impl Registers {
    /// Says how a queue that is not enabled yet is to be served.
    fn set_service(&mut self, queue: u16, value: u64) {
        if let Some(queue) = self.transport.queue_in_setup(queue)
            && let Some(service) = u32::try_from(value)
                .ok()
                .and_then(QueueService::from_number)
        {
            queue.service = service;
        }
    }
}

/// The low bytes of `value`.
fn copy(data: &mut [u8], value: u64) {
    for (byte, value) in data.iter_mut().zip(value.to_le_bytes()) {
        *byte = value;
    }
}
