//! One queue of somebody else's block function, driven by hand: its rings may be as wrong as the attack wants them.

use alloc::format;
use alloc::string::{String, ToString};

use exo_drivers::bound_queue::BoundQueue;
use exo_drivers::queue::RingLayout;
use exo_drivers::virtio::{NO_VECTOR, block, descriptor};
use exo_rt::abi::Capability;
use exo_rt::abi::function::{QueueService, StopReason};
use exo_rt::dma::DmaMemory;
use exo_rt::processor;

/// Entries.
pub const SIZE: u16 = 16;
/// Offset of the request header in the memory, behind the rings.
pub const HEADER: u64 = 0x1000;
/// Offset of the status byte.
pub const STATUS: u64 = 0x1100;
/// Offset of the data.
pub const DATA: u64 = 0x2000;
/// Bytes of data.
pub const DATA_SIZE: u64 = 0x1000;
/// Looks at the used ring and the stop reason before the device counts as hung.
const LOOKS_MAX: u32 = 200_000;

/// The queue and its memory.
pub struct RawQueue {
    /// The queue, bound.
    pub bound: BoundQueue,
    /// Rings, header, data.
    pub memory: DmaMemory,
    /// How the VMM serves it.
    pub service: QueueService,
    layout: RingLayout,
    offered: u16,
}

impl RawQueue {
    /// Binds a queue and sets it up once its function works.
    pub fn open(capability: Capability, service: QueueService) -> Result<Self, String> {
        let bound = BoundQueue::bind(capability).map_err(|error| error.to_string())?;
        bound.await_function();
        let memory = DmaMemory::allocate(DATA + DATA_SIZE).map_err(|error| error.to_string())?;
        let mut queue = Self {
            bound,
            memory,
            service,
            layout: RingLayout::new(SIZE),
            offered: 0,
        };
        queue.restart();
        Ok(queue)
    }

    /// Physical addresses of descriptors, available ring and used ring, as they should be.
    pub fn addresses(&self) -> [u64; 3] {
        let layout = &self.layout;
        [layout.descriptors, layout.available, layout.used]
            .map(|offset| self.memory.physical(offset))
    }

    /// Ends the queue and sets it up as it should be.
    pub fn restart(&mut self) {
        self.restart_with(SIZE, self.addresses());
    }

    /// Ends the queue and sets it up as told.
    pub fn restart_with(&mut self, size: u16, addresses: [u64; 3]) {
        self.bound.end();
        for offset in (0..HEADER).step_by(8) {
            self.memory.write_u64(offset, 0);
        }
        self.offered = 0;
        self.bound.enable(size, addresses, self.service, NO_VECTOR);
    }

    /// Writes the descriptors of a read of sector 0 to `data`, without offering it.
    pub fn describe_read(&self, data: u64, length: u32) {
        self.memory.write_u32(HEADER, block::IN);
        self.memory.write_u64(HEADER + 8, 0);
        self.memory.write_u8(STATUS, 0xff);
        let (next, write) = (descriptor::NEXT, descriptor::WRITE);
        let at = |offset| self.memory.physical(offset);
        self.describe(0, at(HEADER), block::HEADER_SIZE, next, 1);
        self.describe(1, data, length, next | write, 2);
        self.describe(2, at(STATUS), 1, write, 0);
    }

    /// Writes a descriptor.
    pub fn describe(&self, index: u16, address: u64, length: u32, flags: u16, next: u16) {
        let place = self.layout.descriptors + u64::from(index) * descriptor::SIZE;
        self.memory.write_u64(place, address);
        self.memory.write_u32(place + 8, length);
        self.memory.write_u16(place + 12, flags);
        self.memory.write_u16(place + 14, next);
    }

    /// Offers the chain that starts at `head`, and raises the available index by `count`.
    pub fn offer(&mut self, head: u16, count: u16) {
        self.offer_silently(head, count);
        self.bound.ring();
    }

    /// The same without the doorbell, which a queue that is polled does not need.
    pub fn offer_silently(&mut self, head: u16, count: u16) {
        let slot = u64::from(self.offered % SIZE);
        self.memory
            .write_u16(self.layout.available + 4 + 2 * slot, head);
        self.offered = self.offered.wrapping_add(count);
        self.memory
            .store_index(self.layout.available + 2, self.offered);
        processor::fence();
    }

    /// Whether the device has given back all that was offered.
    pub fn is_finished(&self) -> bool {
        self.memory.load_index(self.layout.used + 2) == self.offered
    }

    /// Waits until the device has given back all that was offered: the status byte of the last; or why it has stopped.
    pub fn await_end(&self) -> Result<Result<u8, StopReason>, String> {
        for _ in 0..LOOKS_MAX {
            // First: what was never offered is given back at once.
            match self.bound.stop_reason() {
                Some(StopReason::None) => {}
                Some(reason) => return Ok(Err(reason)),
                None => return Err(String::from("an unknown reason for the stop")),
            }
            if self.is_finished() {
                return Ok(Ok(self.memory.read_u8(STATUS)));
            }
        }
        Err(String::from("the device neither finished nor stopped"))
    }

    /// Fails unless an honest read is served.
    pub fn expect_service(&mut self, what: &str) -> Result<(), String> {
        self.describe_read(self.memory.physical(DATA), DATA_SIZE as u32);
        self.offer(0, 1);
        match self.await_end()? {
            Ok(block::STATUS_OK) => Ok(()),
            other => Err(format!("{what}: an honest read: {other:?}")),
        }
    }

    /// Fails unless the device has stopped for this reason; then shows that the queue serves again.
    pub fn expect_stop(&mut self, what: &str, due: StopReason) -> Result<(), String> {
        match self.await_end()? {
            Err(found) if found == due => {}
            other => return Err(format!("{what}: {other:?}, not {due}")),
        }
        self.restart();
        self.expect_service(what)
    }
}
