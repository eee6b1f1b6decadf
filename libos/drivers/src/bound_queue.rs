//! One queue of a function that somebody else drives: with its own registers, doorbell, vector and DMA domain.

use exo_abi::address::PAGE_SIZE;
use exo_abi::function::{
    DOORBELL_STRIDE, QueueService, REGISTER_PAGES, StopReason, queue_page, queue_vector,
};
use exo_abi::{Capability, Kind};
use exo_rt::dma::DmaMemory;
use exo_rt::registers::Registers;
use exo_rt::wait::Spinner;
use exo_rt::{gate, tables};

use crate::queue::Queue;
use crate::transport::OpenError;
use crate::virtio::{NO_VECTOR, common, status};

/// A queue that this environment has bound, apart from its function.
pub struct BoundQueue {
    capability: Capability,
    queue: u16,
    registers: Registers,
    doorbell: Registers,
}

impl BoundQueue {
    /// Binds the queue that a capability names, and maps its two pages.
    pub fn bind(capability: Capability) -> Result<Self, OpenError> {
        let named = tables::capability(capability.slot());
        let named = named.filter(|named| named.kind == Kind::Queue as u8);
        let function = named.and_then(|named| tables::function(u64::from(named.resource)));
        let (Some(named), Some(function)) = (named, function) else {
            return Err(OpenError::Queue(0));
        };
        gate::function_bind(capability)
            .map_err(|error| OpenError::Refused("bind the queue", error))?;
        let record = function.record;
        let map = |address| {
            Registers::map(capability, address, 1)
                .map_err(|error| OpenError::Refused("map the queue's registers", error))
        };
        Ok(Self {
            capability,
            queue: named.first as u16,
            registers: map(record.registers + (REGISTER_PAGES + named.first) * PAGE_SIZE)?,
            doorbell: map(record.doorbells + named.first * u64::from(DOORBELL_STRIDE))?,
        })
    }

    /// Waits until the owner of the function has started it; the features that both agreed on.
    pub fn await_function(&self) -> u64 {
        let mut spinner = Spinner::new();
        while self.registers.read_u8(common::STATUS) & status::DRIVER_OK == 0 {
            spinner.relax();
        }
        self.registers.read_u64(queue_page::FEATURES)
    }

    /// Most entries that the queue may have, while it is not enabled.
    pub fn size_limit(&self) -> u16 {
        self.registers.read_u16(common::QUEUE_SIZE)
    }

    /// Makes the queue one of `size` entries at the start of `memory`, and enables it.
    pub fn open(
        &self,
        size: u16,
        memory: DmaMemory,
        service: QueueService,
    ) -> Result<Queue<DmaMemory>, OpenError> {
        let queue = Queue::new(memory, size);
        let events = service == QueueService::Events;
        queue.set_interrupts(events);
        let mut vector = NO_VECTOR;
        if events {
            vector = queue_vector(self.queue);
            gate::vector_bind(self.capability, vector.into())
                .map_err(|error| OpenError::Refused("bind an interrupt vector", error))?;
        }
        self.enable(size, queue.addresses(), service, vector);
        if self.is_enabled() {
            Ok(queue)
        } else {
            Err(OpenError::Queue(self.queue))
        }
    }

    /// Says where descriptors, available ring and used ring are, and enables the queue.
    pub fn enable(&self, size: u16, addresses: [u64; 3], service: QueueService, vector: u16) {
        self.registers
            .write_u32(queue_page::SERVICE, service as u32);
        self.registers.write_u16(common::QUEUE_SIZE, size);
        self.registers.write_u16(common::QUEUE_VECTOR, vector);
        let [descriptors, available, used] = addresses;
        self.registers
            .write_u64(common::QUEUE_DESCRIPTORS, descriptors);
        self.registers.write_u64(common::QUEUE_AVAILABLE, available);
        self.registers.write_u64(common::QUEUE_USED, used);
        self.registers.write_u16(common::QUEUE_ENABLE, 1);
    }

    /// Whether it is enabled. Not if it has been ended, by its holder or with the function.
    pub fn is_enabled(&self) -> bool {
        self.registers.read_u16(common::QUEUE_ENABLE) == 1
    }

    /// Ends the queue; returns when nothing of it is in flight. Its registers are then as before it was set up.
    pub fn end(&self) {
        self.registers.write_u16(common::QUEUE_ENABLE, 0);
    }

    /// The registers, for programs that drive the queue by hand.
    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    /// Rings the doorbell.
    pub fn ring(&self) {
        self.doorbell.write_u16(0, self.queue);
    }

    /// Why the VMM has stopped it; `None` if it says what the ABI does not know.
    pub fn stop_reason(&self) -> Option<StopReason> {
        StopReason::from_number(self.registers.read_u32(queue_page::STOP_REASON))
    }

    /// A 64-bit word of the device's own configuration, read so that it is of one piece (virtio 1.2, section 2.5.1).
    pub fn configuration_u64(&self, offset: u64) -> u64 {
        loop {
            let before = self.registers.read_u8(common::CONFIGURATION_GENERATION);
            let value = self.registers.read_u64(queue_page::CONFIGURATION + offset);
            if self.registers.read_u8(common::CONFIGURATION_GENERATION) == before {
                return value;
            }
        }
    }
}
