//! A running split virtqueue (virtio 1.2, section 2.7): takes chains that the driver made available, gives them back used.
//!
//! The state is virtio-queue's; what a driver can get wrong is checked here, because that crate ends silently where we
//! have to stop the queue with a reason.

use std::sync::atomic::{Ordering, fence};

use exo_abi::function::StopReason;
use exo_abi::virtio::{AVAILABLE_NO_INTERRUPT, feature};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress};

use super::chain::{Chain, Table};
use super::endpoint::DmaMemory;

/// VIRTIO_F_EVENT_IDX (section 2.7.7).
pub const FEATURE_EVENT_INDEX: u64 = 1 << 29;

/// What the driver wrote before it enabled the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingSetup {
    /// Entries.
    pub size: u16,
    /// Descriptor table.
    pub descriptors: u64,
    /// Available ring ("driver area").
    pub available: u64,
    /// Used ring ("device area").
    pub used: u64,
}

impl RingSetup {
    /// Whether a device whose queues have at most `size_max` entries can use this many.
    pub fn check_size(&self, size_max: u16) -> Result<(), StopReason> {
        let good = self.size.is_power_of_two() && self.size <= size_max;
        good.then_some(()).ok_or(StopReason::QueueSize)
    }
}

/// The queue, while it runs.
pub struct Ring {
    queue: Queue,
    memory: DmaMemory,
    indirect: bool,
    /// The driver's index when it was last read: up to there nothing needs to be read again.
    known_available: u16,
    /// Something was given back, and the driver has not been asked yet whether it wants to know.
    pushed: bool,
}

impl Ring {
    /// Starts the queue, if it lies where the function may reach it.
    pub fn new(setup: RingSetup, features: u64, memory: DmaMemory) -> Result<Self, StopReason> {
        let mut queue = Queue::new(setup.size).map_err(|_| StopReason::QueueSize)?;
        let misaligned = |_| StopReason::RingAlignment;
        queue
            .try_set_desc_table_address(GuestAddress(setup.descriptors))
            .map_err(misaligned)?;
        queue
            .try_set_avail_ring_address(GuestAddress(setup.available))
            .map_err(misaligned)?;
        queue
            .try_set_used_ring_address(GuestAddress(setup.used))
            .map_err(misaligned)?;
        queue.set_event_idx(features & FEATURE_EVENT_INDEX != 0);
        queue.set_ready(true);
        if !memory.iommu().is_bus_master() || !queue.is_valid(&memory) {
            return Err(StopReason::RingAddress);
        }
        Ok(Self {
            queue,
            memory,
            indirect: features & feature::INDIRECT != 0,
            known_available: 0,
            pushed: false,
        })
    }

    /// Guest memory, as the function sees it.
    pub fn memory(&self) -> &DmaMemory {
        &self.memory
    }

    /// Entries.
    pub fn size(&self) -> u16 {
        self.queue.size()
    }

    /// Reads the next available chain into `chain` and returns its head, or `None` where there is none.
    pub fn pop(&mut self, chain: &mut Chain) -> Result<Option<u16>, StopReason> {
        let next = self.queue.next_avail();
        if next == self.known_available {
            let available = self
                .queue
                .avail_idx(&self.memory, Ordering::Acquire)
                .map_err(|_| StopReason::RingAddress)?
                .0;
            // What is available and what we have not given back yet are different descriptors, so there cannot be
            // more of them than the queue has. This also bounds the requests in flight.
            if available.wrapping_sub(self.queue.next_used()) > self.queue.size() {
                return Err(StopReason::AvailableIndex);
            }
            self.known_available = available;
            if next == available {
                return Ok(None);
            }
        }
        let slot = u64::from(next % self.queue.size());
        let place = GuestAddress(self.queue.avail_ring() + 4 + 2 * slot);
        let head: u16 = self
            .memory
            .load(place, Ordering::Relaxed)
            .map_err(|_| StopReason::RingAddress)?;
        self.queue.set_next_avail(next.wrapping_add(1));
        let table = Table {
            address: self.queue.desc_table(),
            size: self.queue.size(),
            indirect: self.indirect,
        };
        chain.read(&self.memory, table, head)?;
        Ok(Some(head))
    }

    /// Gives the chain that starts at `head` back, with `written` bytes written.
    pub fn push(&mut self, head: u16, written: u32) -> Result<(), StopReason> {
        self.pushed = true;
        self.queue
            .add_used(&self.memory, head, written)
            .map_err(|_| StopReason::RingAddress)
    }

    /// Takes every chain that is available, at most one queue length; `serve` does what it asks for and says how many bytes
    /// it has written; then the chain is given back. True if there was any.
    pub fn serve_each(
        &mut self,
        chain: &mut Chain,
        mut serve: impl FnMut(&DmaMemory, &mut Chain) -> Result<u32, StopReason>,
    ) -> Result<bool, StopReason> {
        let mut worked = false;
        for _ in 0..self.size() {
            let Some(head) = self.pop(chain)? else {
                break;
            };
            worked = true;
            let written = serve(self.memory(), chain)?;
            self.push(head, written)?;
        }
        Ok(worked)
    }

    /// Whether the driver wants an interrupt for what was pushed since the last call.
    pub fn wants_interrupt(&mut self) -> Result<bool, StopReason> {
        if !std::mem::take(&mut self.pushed) {
            return Ok(false);
        }
        // Fences, so that the driver's wish is read after our index is visible (section 2.7.7.2).
        let wanted = self
            .queue
            .needs_notification(&self.memory)
            .map_err(|_| StopReason::RingAddress)?;
        if self.queue.event_idx_enabled() {
            return Ok(wanted);
        }
        let flags: u16 = self
            .memory
            .load(GuestAddress(self.queue.avail_ring()), Ordering::Relaxed)
            .map_err(|_| StopReason::RingAddress)?;
        Ok(flags & AVAILABLE_NO_INTERRUPT == 0)
    }

    /// Tells the driver that it need not ring the doorbell.
    pub fn refuse_doorbell(&mut self) -> Result<(), StopReason> {
        if self.queue.event_idx_enabled() {
            // The event index that a driver passes last, 65535 entries from now (section 2.7.10).
            let event = self.queue.next_avail().wrapping_sub(1);
            let place = self.queue.used_ring() + 4 + 8 * u64::from(self.queue.size());
            return self
                .memory
                .store(event, GuestAddress(place), Ordering::Relaxed)
                .map_err(|_| StopReason::RingAddress);
        }
        self.queue
            .disable_notification(&self.memory)
            .map_err(|_| StopReason::RingAddress)
    }

    /// Asks the driver to ring the doorbell for the next chain. True: there is one already.
    pub fn want_doorbell(&mut self) -> Result<bool, StopReason> {
        fence(Ordering::SeqCst);
        self.queue
            .enable_notification(&self.memory)
            .map_err(|_| StopReason::RingAddress)
    }
}
