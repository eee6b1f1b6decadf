//! One running queue of a block device: requests in flight, from the ring to the disk and back.

use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::Arc;

use exo_abi::function::StopReason;
use exo_abi::virtio::block::{STATUS_IO_ERROR, STATUS_OK, STATUS_UNSUPPORTED};
use virtio_bindings::bindings::virtio_blk::VIRTIO_BLK_ID_BYTES;
use vm_memory::{Bytes, GuestAddress, Permissions};

use super::Shared;
use super::engine::{Engine, Operation};
use super::request::{Action, Request};
use crate::devices::chain::{Buffer, Chain};
use crate::devices::ring::Ring;
use crate::devices::server::{EVERYTHING, QueueHandler};
use crate::devices::signals::QueueCounters;
use crate::memory::GuestMemory;

/// A request that the disk is busy with.
#[derive(Default)]
struct Flight {
    head: u16,
    status: u64,
    data: Buffer,
    operation: Option<Operation>,
    direct: bool,
    /// Bytes to move, and moved.
    expected: u32,
    moved: u32,
}

/// The requests of one queue.
pub struct BlockHandler {
    // Dropped first: what flies needs the disk's file.
    engine: Engine,
    shared: Arc<Shared>,
    chain: Chain,
    /// By slot of the engine; `operation` is there while it flies.
    flights: Vec<Flight>,
    free: Vec<u16>,
}

impl BlockHandler {
    /// A handler for a queue with `size` entries, which signals what is done if `event` says so.
    pub(super) fn new(
        shared: Arc<Shared>,
        memory: GuestMemory,
        size: u16,
        event: bool,
    ) -> io::Result<Self> {
        let engine = match shared.disk.is_in_memory() {
            true => Engine::without_ring(memory, size),
            false => Engine::new(memory, size, event)?,
        };
        Ok(Self {
            shared,
            engine,
            chain: Chain::default(),
            flights: (0..size).map(|_| Flight::default()).collect(),
            free: (0..size).rev().collect(),
        })
    }

    /// Starts everything that is available. True if there was anything.
    fn take(&mut self, ring: &mut Ring, counters: &QueueCounters) -> Result<bool, StopReason> {
        let mut worked = false;
        for _ in 0..ring.size() {
            // A ring never has more chains outstanding than entries, so there is a slot for each.
            if self.free.is_empty() {
                break;
            }
            let Some(head) = ring.pop(&mut self.chain)? else {
                break;
            };
            self.begin(ring, head, counters)?;
            worked = true;
        }
        Ok(worked)
    }

    fn begin(
        &mut self,
        ring: &mut Ring,
        head: u16,
        counters: &QueueCounters,
    ) -> Result<(), StopReason> {
        let extent = self.shared.extent();
        let request = Request::parse(&mut self.chain, ring.memory(), extent)?;
        let answer = |ring: &mut Ring, written, status| {
            counters.count(u64::from(written));
            finish(ring, head, request.status, written, status)
        };
        let (operation, access) = match request.action {
            Action::Answer(status) => return answer(ring, 0, status),
            Action::Identify => {
                let mut name = [0; VIRTIO_BLK_ID_BYTES as usize];
                for (byte, value) in name.iter_mut().zip(self.shared.disk.name().bytes()) {
                    *byte = value;
                }
                let written = self.chain.writable.fill(ring.memory(), &name)?;
                return answer(ring, written, STATUS_OK);
            }
            Action::Read(offset) => (Operation::Read(offset), Permissions::Write),
            Action::Write(offset) => (Operation::Write(offset), Permissions::Read),
            Action::Flush => (Operation::Synchronize, Permissions::No),
            Action::Clear(offset, length) => (Operation::Clear(offset, length), Permissions::No),
        };
        let Some(slot) = self.free.pop() else {
            return Err(StopReason::Host);
        };
        let Some(flight) = self.flights.get_mut(usize::from(slot)) else {
            return Err(StopReason::Host);
        };
        let data = match operation {
            Operation::Read(_) => Some(&mut self.chain.writable),
            Operation::Write(_) => Some(&mut self.chain.readable),
            Operation::Synchronize | Operation::Clear(..) => None,
        };
        flight.data.clear();
        let mut alignment = 1;
        if let Some(data) = data {
            // The slot stays taken where this fails; the queue has stopped then.
            alignment = self.engine.aim(slot, ring.memory(), data, access)?;
            std::mem::swap(&mut flight.data, data);
        }
        flight.head = head;
        flight.status = request.status;
        flight.operation = Some(operation);
        flight.expected = flight.data.length();
        flight.moved = 0;
        let file = match operation {
            Operation::Read(offset) | Operation::Write(offset) => {
                self.shared.disk.direct(alignment | offset)
            }
            Operation::Synchronize | Operation::Clear(..) => None,
        };
        flight.direct = file.is_some();
        let file = file.unwrap_or_else(|| self.shared.disk.buffered());
        self.engine.start(slot, file, operation);
        Ok(())
    }

    /// Gives back everything that has landed. True if there was anything.
    fn reap(
        &mut self,
        mut ring: Option<&mut Ring>,
        counters: &QueueCounters,
    ) -> Result<bool, StopReason> {
        let mut worked = false;
        while let Some((slot, result)) = self.engine.landed() {
            worked = true;
            let Some(flight) = self.flights.get_mut(usize::from(slot)) else {
                continue;
            };
            let Some(status) = advance(flight, slot, result, &mut self.engine, &self.shared) else {
                continue;
            };
            let (head, place) = (flight.head, flight.status);
            let moved = flight.moved;
            let written = match flight.operation.take() {
                Some(Operation::Read(_)) => moved,
                Some(Operation::Write(_) | Operation::Synchronize | Operation::Clear(..))
                | None => 0,
            };
            self.free.push(slot);
            counters.count(u64::from(moved));
            if let Some(ring) = ring.as_deref_mut() {
                finish(ring, head, place, written, status)?;
            }
        }
        Ok(worked)
    }

    /// Whether a request in flight touches `range`.
    fn touches(&self, range: &Range<u64>) -> bool {
        if *range == EVERYTHING {
            return self.engine.flying() > 0;
        }
        let mut flying = self
            .flights
            .iter()
            .filter(|flight| flight.operation.is_some());
        flying.any(|flight| {
            flight.data.segments().iter().any(|segment| {
                let end = segment.address.saturating_add(u64::from(segment.length));
                segment.address < range.end && range.start < end
            })
        })
    }
}

/// What the result of an operation means: the status of the request, or `None` where it flies again.
fn advance(
    flight: &mut Flight,
    slot: u16,
    result: i32,
    engine: &mut Engine,
    shared: &Shared,
) -> Option<u8> {
    let (start, transfer): (u64, fn(u64) -> Operation) = match flight.operation? {
        Operation::Read(start) => (start, Operation::Read),
        Operation::Write(start) => (start, Operation::Write),
        Operation::Synchronize | Operation::Clear(..) => {
            return Some(match result {
                0 => STATUS_OK,
                result if result == -libc::EOPNOTSUPP => STATUS_UNSUPPORTED,
                _ => STATUS_IO_ERROR,
            });
        }
    };
    let refused_direct = result == -libc::EINVAL && flight.direct;
    let moved = u32::try_from(result).unwrap_or(0);
    flight.moved += moved.min(flight.expected - flight.moved);
    if flight.moved == flight.expected {
        return Some(STATUS_OK);
    }
    // Nothing moved: the file has become shorter, or fails.
    let interrupted = result == -libc::EINTR || result == -libc::EAGAIN;
    if moved == 0 && !refused_direct && !interrupted {
        return Some(STATUS_IO_ERROR);
    }
    engine.advance(slot, moved as usize);
    // The rest, which may be aligned no more, goes through the page cache.
    flight.direct = false;
    let rest = transfer(start + u64::from(flight.moved));
    engine.start(slot, shared.disk.buffered(), rest);
    None
}

/// Writes the status and gives the chain back.
fn finish(
    ring: &mut Ring,
    head: u16,
    place: u64,
    written: u32,
    status: u8,
) -> Result<(), StopReason> {
    ring.memory()
        .write_obj(status, GuestAddress(place))
        .map_err(|_| StopReason::BufferAddress)?;
    ring.push(head, written.saturating_add(1))
}

impl QueueHandler for BlockHandler {
    fn serve(
        &mut self,
        mut ring: Option<&mut Ring>,
        counters: &QueueCounters,
    ) -> Result<bool, StopReason> {
        let mut worked = self.reap(ring.as_deref_mut(), counters)?;
        if let Some(ring) = ring.as_deref_mut() {
            let taken = self.take(ring, counters);
            self.engine.flush();
            worked |= taken?;
        }
        // What the page cache has is there at once.
        worked |= self.reap(ring, counters)?;
        self.engine.flush();
        Ok(worked)
    }

    fn drain(
        &mut self,
        mut ring: Option<&mut Ring>,
        counters: &QueueCounters,
        range: Range<u64>,
    ) -> Result<(), StopReason> {
        let mut outcome = Ok(());
        while self.touches(&range) {
            self.engine.wait();
            if let Err(reason) = self.reap(ring.as_deref_mut(), counters) {
                outcome = Err(reason);
                ring = None;
            }
        }
        self.engine.flush();
        outcome
    }

    fn is_busy(&self) -> bool {
        self.engine.flying() > 0
    }

    fn events(&self) -> Vec<RawFd> {
        self.engine.event().into_iter().collect()
    }
}
