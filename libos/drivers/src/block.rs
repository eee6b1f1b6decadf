//! Virtio block driver: any number of requests in flight, polled or interrupt-driven.

mod access;
mod request;

use alloc::vec::Vec;

use exo_abi::Capability;
use exo_abi::function::QueueService;
use exo_rt::dma::DmaMemory;
use exo_rt::environment::{self, Function};
use exo_rt::gate;
use exo_rt::wait::Spinner;

use self::access::Access;
use crate::bound_queue::BoundQueue;
use crate::queue::{Part, Queue, RingLayout};
use crate::transport::{OpenError, Transport};
use crate::virtio::{block, feature};

pub use request::{BlockError, Buffer, Completion, Request};

/// The one queue.
const QUEUE: u16 = 0;
/// Descriptors of a request: header, data, status.
const PARTS: u16 = 3;
/// Bytes of a request's own memory: header, status, discard segment.
const SLOT_SIZE: u64 = 64;
const SLOT_STATUS: u64 = 16;
const SLOT_DISCARD: u64 = 32;
/// What the status byte holds until the device writes it.
const STATUS_UNWRITTEN: u8 = 0xff;
/// Spins between two looks at the device status, each of which leaves the VM: far longer than any request takes.
const SPINS_PER_STATUS: u64 = 1 << 24;

/// How to set a disk up.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most requests in flight.
    pub depth: u16,
    /// Polled, or by events and interrupts.
    pub service: QueueService,
}

/// A disk.
pub struct Block {
    access: Access,
    queue: Queue<DmaMemory>,
    /// Where the slots start in the queue's memory.
    slots_offset: u64,
    free_slots: Vec<u16>,
    /// Slot of the request with this head descriptor, and the bytes that it moves.
    requests: Vec<(u16, u32)>,
    service: QueueService,
    features: u64,
    sectors: u64,
}

impl Block {
    /// Binds a function and starts the device (virtio 1.2, section 3.1.1).
    pub fn open(function: Function, options: Options) -> Result<Self, OpenError> {
        Self::start(Transport::bind(function)?, options)
    }

    /// The same with a function that is bound.
    pub fn start(transport: Transport, options: Options) -> Result<Self, OpenError> {
        let features = transport
            .negotiate(feature::BLOCK_READ_ONLY | feature::BLOCK_FLUSH | feature::BLOCK_DISCARD)?;
        let plan = Plan::new(transport.queue_size_limit(QUEUE), options)?;
        transport.set_configuration_vector(options.service)?;
        let queue = transport.open_queue(QUEUE, plan.size, plan.memory, options.service)?;
        transport.start();
        let sectors = transport.configuration_u64(block::CONFIGURATION_CAPACITY);
        let access = Access::Function(transport);
        Ok(Self::new(
            access,
            queue,
            plan.depth,
            options,
            (features, sectors),
        ))
    }

    /// Binds one queue of a function that somebody else drives, and waits until that is started.
    pub fn open_queue(capability: Capability, options: Options) -> Result<Self, OpenError> {
        let bound = BoundQueue::bind(capability)?;
        let features = bound.await_function();
        let plan = Plan::new(bound.size_limit(), options)?;
        let queue = bound.open(plan.size, plan.memory, options.service)?;
        let sectors = bound.configuration_u64(block::CONFIGURATION_CAPACITY);
        let access = Access::Queue(bound);
        Ok(Self::new(
            access,
            queue,
            plan.depth,
            options,
            (features, sectors),
        ))
    }

    fn new(
        access: Access,
        queue: Queue<DmaMemory>,
        depth: u16,
        options: Options,
        (features, sectors): (u64, u64),
    ) -> Self {
        let size = queue.size();
        Self {
            access,
            queue,
            slots_offset: slots_offset(size),
            free_slots: (0..depth).rev().collect(),
            requests: (0..size).map(|_| (0, 0)).collect(),
            service: options.service,
            features,
            sectors,
        }
    }

    /// Size of the disk in sectors of 512 bytes.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Whether the device takes no writes.
    pub fn is_read_only(&self) -> bool {
        self.features & feature::BLOCK_READ_ONLY != 0
    }

    /// Whether more requests can be added now.
    pub fn has_room(&self) -> bool {
        !self.free_slots.is_empty()
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u16 {
        self.queue.in_flight()
    }

    /// Adds a request; [`Self::publish`] or [`Self::wait`] shows it to the device. Returns its slot.
    pub fn submit(&mut self, request: Request) -> Result<u16, BlockError> {
        let Some(&slot) = self.free_slots.last() else {
            return Err(BlockError::Full);
        };
        let offset = self.slots_offset + u64::from(slot) * SLOT_SIZE;
        let memory = self.queue.memory();
        let (kind, sector, data) = match request {
            Request::Read(sector, buffer) => (block::IN, sector, Some(buffer_part(buffer, true))),
            Request::Write(sector, buffer) => {
                (block::OUT, sector, Some(buffer_part(buffer, false)))
            }
            Request::Flush => (block::FLUSH, 0, None),
            Request::Discard(sector, sectors) => {
                memory.write_u64(offset + SLOT_DISCARD, sector);
                memory.write_u32(offset + SLOT_DISCARD + 8, sectors);
                memory.write_u32(offset + SLOT_DISCARD + 12, 0);
                (
                    block::DISCARD,
                    0,
                    Some(data_part(
                        memory,
                        offset + SLOT_DISCARD,
                        block::DISCARD_SIZE,
                        false,
                    )),
                )
            }
        };
        memory.write_u32(offset, kind);
        memory.write_u32(offset + 4, 0);
        memory.write_u64(offset + 8, sector);
        memory.write_u8(offset + SLOT_STATUS, STATUS_UNWRITTEN);
        let header = data_part(memory, offset, block::HEADER_SIZE, false);
        let answer = data_part(memory, offset + SLOT_STATUS, 1, true);
        let head = match data {
            Some(data) => self.queue.add(&[header, data, answer]),
            None => self.queue.add(&[header, answer]),
        }
        .map_err(|_| BlockError::Full)?;
        self.free_slots.pop();
        let bytes = match request {
            Request::Read(_, buffer) | Request::Write(_, buffer) => buffer.length,
            Request::Flush | Request::Discard(..) => 0,
        };
        self.requests[usize::from(head)] = (slot, bytes);
        Ok(slot)
    }

    /// Shows the device all that was added.
    pub fn publish(&mut self) {
        if self.queue.publish() {
            self.access.ring();
        }
    }

    /// A finished request, if there is one.
    pub fn poll(&mut self) -> Result<Option<Completion>, BlockError> {
        let Some(used) = self.queue.take().map_err(BlockError::BadAnswer)? else {
            return Ok(None);
        };
        let (slot, bytes) = self.requests[usize::from(used.head)];
        self.free_slots.push(slot);
        let status = self
            .queue
            .memory()
            .read_u8(self.slots_offset + u64::from(slot) * SLOT_SIZE + SLOT_STATUS);
        environment::count_requests(
            1,
            if status == block::STATUS_OK {
                u64::from(bytes)
            } else {
                0
            },
        );
        Ok(Some(Completion { slot, status }))
    }

    /// Publishes, and waits until a request is finished.
    pub fn wait(&mut self) -> Result<Completion, BlockError> {
        self.publish();
        match self.service {
            QueueService::Polled => self.wait_by_polling(),
            QueueService::Events => self.wait_for_event(),
        }
    }

    fn wait_by_polling(&mut self) -> Result<Completion, BlockError> {
        let mut spinner = Spinner::new();
        let mut spins = 0u64;
        loop {
            if let Some(completion) = self.poll()? {
                return Ok(completion);
            }
            spinner.relax();
            spins += 1;
            if spins.is_multiple_of(SPINS_PER_STATUS) {
                self.check_running()?;
            }
        }
    }

    fn wait_for_event(&mut self) -> Result<Completion, BlockError> {
        loop {
            // Read before the ring: an interrupt between the two makes the wait return at once.
            let seen = environment::events();
            if let Some(completion) = self.poll()? {
                return Ok(completion);
            }
            gate::environment_wait(seen).expect("a wait has nothing to refuse");
            if let Some(completion) = self.poll()? {
                return Ok(completion);
            }
            self.check_running()?;
        }
    }

    /// Asks the device whether it has stopped; leaves the VM.
    pub fn check_running(&self) -> Result<(), BlockError> {
        match self.access.stopped() {
            None => Ok(()),
            Some(reason) => Err(BlockError::Stopped(reason)),
        }
    }

    /// Does one request and nothing else: there must be none in flight.
    pub fn run(&mut self, request: Request) -> Result<(), BlockError> {
        self.submit(request)?;
        match self.wait()?.status {
            block::STATUS_OK => Ok(()),
            status => Err(BlockError::Status(status)),
        }
    }

    /// Reads whole sectors, from one on, by requests of their own: there must be none in flight.
    pub fn read_sectors(&mut self, first: u64, bytes: &mut [u8]) -> Result<(), BlockError> {
        let memory = DmaMemory::allocate(bytes.len() as u64).map_err(|_| BlockError::Full)?;
        let buffer = Buffer {
            memory: &memory,
            offset: 0,
            length: bytes.len() as u32,
        };
        self.run(Request::Read(first, buffer))?;
        memory.copy_out(0, bytes);
        Ok(())
    }
}

/// What a queue is to be made of.
struct Plan {
    size: u16,
    depth: u16,
    memory: DmaMemory,
}

impl Plan {
    /// For a queue that can have `limit` entries.
    fn new(limit: u16, options: Options) -> Result<Self, OpenError> {
        if limit < PARTS {
            return Err(OpenError::Queue(QUEUE));
        }
        let wanted = u32::from(options.depth.max(1)) * u32::from(PARTS);
        let size = wanted.next_power_of_two().min(u32::from(limit)) as u16;
        let depth = options.depth.clamp(1, size / PARTS);
        let memory = DmaMemory::allocate(slots_offset(size) + u64::from(depth) * SLOT_SIZE)
            .map_err(|error| OpenError::Refused("map the queue for DMA", error))?;
        Ok(Self {
            size,
            depth,
            memory,
        })
    }
}

/// Where the slots start in the memory of a queue of `size` entries.
fn slots_offset(size: u16) -> u64 {
    RingLayout::new(size).bytes.next_multiple_of(SLOT_SIZE)
}

impl Drop for Block {
    fn drop(&mut self) {
        // The rings are about to leave the DMA domain.
        self.access.end();
    }
}

fn buffer_part(buffer: Buffer, device_writes: bool) -> Part {
    data_part(buffer.memory, buffer.offset, buffer.length, device_writes)
}

fn data_part(memory: &DmaMemory, offset: u64, length: u32, device_writes: bool) -> Part {
    Part {
        address: memory.physical(offset),
        length,
        device_writes,
    }
}
