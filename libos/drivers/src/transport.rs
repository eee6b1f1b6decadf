//! A virtio-pci function: bound, its registers mapped, and the steps of virtio 1.2, section 3.1.1.
//!
//! The VMM has assigned the BARs and the exported function table tells where they are, so nobody reads configuration space.

use core::cell::Cell;
use core::fmt;

use exo_abi::Error;
use exo_abi::address::PAGE_SIZE;
use exo_abi::function::{
    COMMON_PAGE, DEVICE_PAGE, DOORBELL_STRIDE, ISR_PAGE, QueueService, REGISTER_PAGES,
    SERVICE_PAGE, STOP_REASONS, StopReason,
};
use exo_rt::dma::DmaMemory;
use exo_rt::environment::{self, Function};
use exo_rt::gate;
use exo_rt::registers::Registers;

use crate::queue::Queue;
use crate::virtio::{NO_VECTOR, common, feature, status};

/// Why a device cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The manifest gave no (further) function of this device type.
    Missing(u32),
    /// The kernel refused a step.
    Refused(&'static str, Error),
    /// The device did not accept the features.
    Features(u64),
    /// The device has no queue of this number.
    Queue(u16),
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(kind) => write!(
                formatter,
                "this environment has no function of device type {kind}; add one to its list in the manifest"
            ),
            Self::Refused(step, error) => {
                write!(formatter, "the kernel refused to {step}: {error}")
            }
            Self::Features(features) => write!(
                formatter,
                "the device did not accept features {features:#x}"
            ),
            Self::Queue(index) => write!(formatter, "the device has no queue {index}"),
        }
    }
}

/// How a queue is to be set up.
#[derive(Clone, Copy, Debug)]
pub struct QueueSetup {
    /// Which.
    pub index: u16,
    /// Entries.
    pub size: u16,
    /// Descriptors, available ring, used ring: physical addresses.
    pub addresses: [u64; 3],
    /// How the VMM serves it.
    pub service: QueueService,
    /// MSI-X vector, or [`NO_VECTOR`].
    pub vector: u16,
}

/// A bound function with its registers.
pub struct Transport {
    /// The function.
    pub function: Function,
    registers: Registers,
    doorbells: Registers,
    /// The event that counts changes of the configuration.
    changes: Cell<Option<u64>>,
}

const STATUS: u64 = COMMON_PAGE * PAGE_SIZE + common::STATUS;

impl Transport {
    /// The `position`th function of this environment that has the device type.
    pub fn find(device_type: u32, position: usize) -> Result<Function, OpenError> {
        exo_rt::environment::functions()
            .filter(|function| function.entry.record.device_type == device_type)
            .nth(position)
            .ok_or(OpenError::Missing(device_type))
    }

    /// Binds a function and maps its registers and doorbells.
    pub fn bind(function: Function) -> Result<Self, OpenError> {
        gate::function_bind(function.capability)
            .map_err(|error| OpenError::Refused("bind the function", error))?;
        Self::map(function)
    }

    /// Maps the registers and doorbells of a function that is bound.
    pub fn map(function: Function) -> Result<Self, OpenError> {
        let refused = |error| OpenError::Refused("map the function's registers", error);
        let record = function.entry.record;
        let registers = Registers::map(function.capability, record.registers, REGISTER_PAGES)
            .map_err(refused)?;
        let doorbells = Registers::map(
            function.capability,
            record.doorbells,
            u64::from(record.queues),
        )
        .map_err(refused)?;
        Ok(Self {
            function,
            registers,
            doorbells,
            changes: Cell::new(None),
        })
    }

    /// Resets the device; returns when nothing of it is in flight.
    pub fn reset(&self) {
        self.registers.write_u8(STATUS, 0);
        // "The driver SHOULD wait until device_status reads 0" (section 2.4.2).
        while self.status() != 0 {
            exo_rt::processor::pause();
        }
    }

    /// Device status.
    pub fn status(&self) -> u8 {
        self.registers.read_u8(STATUS)
    }

    /// Adds bits to the device status.
    pub fn add_status(&self, bits: u8) {
        self.registers.write_u8(STATUS, self.status() | bits);
    }

    /// Steps 1 to 6: resets, and agrees on those of the `wanted` features that the device offers.
    pub fn negotiate(&self, wanted: u64) -> Result<u64, OpenError> {
        self.reset();
        self.add_status(status::ACKNOWLEDGE);
        self.add_status(status::DRIVER);
        let features =
            self.device_features() & (wanted | feature::VERSION_1 | feature::ACCESS_PLATFORM);
        for half in 0..2 {
            self.registers
                .write_u32(common::DRIVER_FEATURE_SELECT, half);
            self.registers
                .write_u32(common::DRIVER_FEATURE, (features >> (32 * half)) as u32);
        }
        self.add_status(status::FEATURES_OK);
        if features & feature::VERSION_1 == 0 || self.status() & status::FEATURES_OK == 0 {
            self.add_status(status::FAILED);
            return Err(OpenError::Features(features));
        }
        Ok(features)
    }

    /// Features that the device offers.
    pub fn device_features(&self) -> u64 {
        let half = |half: u32| {
            self.registers
                .write_u32(common::DEVICE_FEATURE_SELECT, half);
            u64::from(self.registers.read_u32(common::DEVICE_FEATURE))
        };
        half(0) | half(1) << 32
    }

    /// Most entries that a queue may have; 0: there is no such queue.
    pub fn queue_size_limit(&self, index: u16) -> u16 {
        self.registers.write_u16(common::QUEUE_SELECT, index);
        self.registers.read_u16(common::QUEUE_SIZE)
    }

    /// Says how configuration changes are told: by vector 0 to who sleeps, not at all to who polls.
    pub fn set_configuration_vector(&self, service: QueueService) -> Result<(), OpenError> {
        match service {
            QueueService::Events => {
                self.changes.set(Some(self.bind_vector(0)?));
                Ok(())
            }
            QueueService::Polled => {
                self.clear_configuration_vector();
                Ok(())
            }
        }
    }

    /// How often the device has said that its configuration, or its status, has changed.
    pub fn configuration_changes(&self) -> u64 {
        self.changes.get().map_or(0, environment::event_counter)
    }

    /// Makes a queue of `size` entries at the start of `memory`, and enables it. Its vector is the one behind its number,
    /// because vector 0 is that of configuration changes.
    pub fn open_queue(
        &self,
        index: u16,
        size: u16,
        memory: DmaMemory,
        service: QueueService,
    ) -> Result<Queue<DmaMemory>, OpenError> {
        let queue = Queue::new(memory, size);
        let events = service == QueueService::Events;
        queue.set_interrupts(events);
        let vector = if events { index + 1 } else { NO_VECTOR };
        if events {
            self.bind_vector(vector)?;
        }
        self.enable_queue(&QueueSetup {
            index,
            size,
            addresses: queue.addresses(),
            service,
            vector,
        });
        Ok(queue)
    }

    /// Step 7: tells the device about a queue and enables it.
    pub fn enable_queue(&self, setup: &QueueSetup) {
        let service = SERVICE_PAGE * PAGE_SIZE + 4 * u64::from(setup.index);
        self.registers.write_u32(service, setup.service as u32);
        self.registers.write_u16(common::QUEUE_SELECT, setup.index);
        self.registers.write_u16(common::QUEUE_SIZE, setup.size);
        self.registers.write_u16(common::QUEUE_VECTOR, setup.vector);
        self.registers
            .write_u64(common::QUEUE_DESCRIPTORS, setup.addresses[0]);
        self.registers
            .write_u64(common::QUEUE_AVAILABLE, setup.addresses[1]);
        self.registers
            .write_u64(common::QUEUE_USED, setup.addresses[2]);
        self.registers.write_u16(common::QUEUE_ENABLE, 1);
    }

    /// Routes a vector of the function to this environment's events. Vector 0 is that of configuration changes.
    pub fn bind_vector(&self, vector: u16) -> Result<u64, OpenError> {
        let event = gate::vector_bind(self.function.capability, u32::from(vector))
            .map_err(|error| OpenError::Refused("bind an interrupt vector", error))?;
        if vector == 0 {
            self.registers
                .write_u16(common::CONFIGURATION_VECTOR, vector);
        }
        Ok(event)
    }

    /// Makes the device raise no interrupt for configuration changes.
    pub fn clear_configuration_vector(&self) {
        self.registers
            .write_u16(common::CONFIGURATION_VECTOR, NO_VECTOR);
    }

    /// Step 8: the device may work from now on.
    pub fn start(&self) {
        self.add_status(status::DRIVER_OK);
    }

    /// The registers, for programs that drive the device by hand.
    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    /// Rings the doorbell of a queue.
    pub fn ring(&self, index: u16) {
        self.doorbells
            .write_u16(u64::from(index) * u64::from(DOORBELL_STRIDE), index);
    }

    /// Why the VMM has stopped a queue; `None` if it says what the ABI does not know.
    pub fn stop_reason(&self, index: u16) -> Option<StopReason> {
        let offset = SERVICE_PAGE * PAGE_SIZE + STOP_REASONS + 4 * u64::from(index);
        StopReason::from_number(self.registers.read_u32(offset))
    }

    /// Interrupt status; reading it clears it.
    pub fn interrupt_status(&self) -> u8 {
        self.registers.read_u8(ISR_PAGE * PAGE_SIZE)
    }

    /// A 64-bit word of the device's own configuration, read so that it is of one piece (section 2.5.1).
    pub fn configuration_u64(&self, offset: u64) -> u64 {
        loop {
            let before = self.registers.read_u8(common::CONFIGURATION_GENERATION);
            let value = self.registers.read_u64(DEVICE_PAGE * PAGE_SIZE + offset);
            if self.registers.read_u8(common::CONFIGURATION_GENERATION) == before {
                return value;
            }
        }
    }
}
