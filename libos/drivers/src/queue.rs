//! The driver's side of a split virtqueue (virtio 1.2, section 2.7).
//!
//! What the device writes is checked before it is used, and the driver keeps its own copy of all it needs: links between
//! descriptors are never read back. The memory is a trait, so that this file is tested on the host.

use alloc::vec::Vec;
use core::fmt;

use exo_rt::dma::DmaMemory;

use crate::virtio::{AVAILABLE_NO_INTERRUPT, USED_NO_NOTIFY, descriptor};

/// Memory that holds the rings, shared with the device.
pub trait RingMemory {
    /// Reads a word.
    fn read_u16(&self, offset: u64) -> u16;
    /// Reads a word.
    fn read_u32(&self, offset: u64) -> u32;
    /// Writes a word.
    fn write_u16(&self, offset: u64, value: u16);
    /// Writes a word.
    fn write_u32(&self, offset: u64, value: u32);
    /// Writes a word.
    fn write_u64(&self, offset: u64, value: u64);
    /// Reads an index, before all that is read later.
    fn load_index(&self, offset: u64) -> u16;
    /// Writes an index, after all that was written earlier.
    fn store_index(&self, offset: u64, value: u16);
    /// Orders earlier writes before later reads.
    fn fence(&self);
    /// The device's name for an offset.
    fn physical(&self, offset: u64) -> u64;
}

impl RingMemory for DmaMemory {
    fn read_u16(&self, offset: u64) -> u16 {
        self.read_u16(offset)
    }
    fn read_u32(&self, offset: u64) -> u32 {
        self.read_u32(offset)
    }
    fn write_u16(&self, offset: u64, value: u16) {
        self.write_u16(offset, value);
    }
    fn write_u32(&self, offset: u64, value: u32) {
        self.write_u32(offset, value);
    }
    fn write_u64(&self, offset: u64, value: u64) {
        self.write_u64(offset, value);
    }
    fn load_index(&self, offset: u64) -> u16 {
        self.load_index(offset)
    }
    fn store_index(&self, offset: u64, value: u16) {
        self.store_index(offset, value);
    }
    fn fence(&self) {
        exo_rt::processor::fence();
    }
    fn physical(&self, offset: u64) -> u64 {
        self.physical(offset)
    }
}

/// Where the three parts of a queue lie in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingLayout {
    /// Descriptor table.
    pub descriptors: u64,
    /// Available ring.
    pub available: u64,
    /// Used ring.
    pub used: u64,
    /// Bytes in all.
    pub bytes: u64,
}

impl RingLayout {
    /// For a queue of `size` entries, without event indexes.
    pub const fn new(size: u16) -> Self {
        let size = size as u64;
        let available = size * descriptor::SIZE;
        let used = (available + 4 + 2 * size).next_multiple_of(4);
        Self {
            descriptors: 0,
            available,
            used,
            bytes: used + 4 + 8 * size,
        }
    }
}

/// One buffer of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub length: u32,
    /// Whether the device writes it.
    pub device_writes: bool,
}

/// A request that the device has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// What [`Queue::add`] returned for it.
    pub head: u16,
    /// Bytes that the device says it wrote.
    pub written: u32,
}

/// There are not enough free descriptors now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The device answered what it was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAnswer(pub u32);

impl fmt::Display for BadAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the device finished descriptor {}, which was not in flight",
            self.0
        )
    }
}

/// A split queue.
pub struct Queue<M> {
    memory: M,
    size: u16,
    layout: RingLayout,
    /// Descriptors that are free; the last is used first.
    free: Vec<u16>,
    /// Descriptors of the request whose head this is; empty: not in flight.
    chains: Vec<Vec<u16>>,
    /// Requests added so far.
    added: u16,
    /// Requests that the device was shown so far.
    published: u16,
    /// Requests taken back so far.
    taken: u16,
}

impl<M: RingMemory> Queue<M> {
    /// A queue of `size` entries (a power of two) in zeroed `memory` of at least [`RingLayout::bytes`].
    pub fn new(memory: M, size: u16) -> Self {
        assert!(
            size.is_power_of_two(),
            "the size of a queue is a power of two"
        );
        Self {
            memory,
            size,
            layout: RingLayout::new(size),
            free: (0..size).rev().collect(),
            chains: (0..size).map(|_| Vec::new()).collect(),
            added: 0,
            published: 0,
            taken: 0,
        }
    }

    /// Entries.
    pub fn size(&self) -> u16 {
        self.size
    }

    /// The memory under the rings.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Physical addresses of descriptors, available ring and used ring.
    pub fn addresses(&self) -> [u64; 3] {
        [
            self.layout.descriptors,
            self.layout.available,
            self.layout.used,
        ]
        .map(|offset| self.memory.physical(offset))
    }

    /// Requests that were added and not taken back.
    pub fn in_flight(&self) -> u16 {
        self.added.wrapping_sub(self.taken)
    }

    /// Free descriptors.
    pub fn room(&self) -> usize {
        self.free.len()
    }

    /// Adds a request of one or more parts, those that the device reads first; [`Self::publish`] shows it to the device.
    pub fn add(&mut self, parts: &[Part]) -> Result<u16, Full> {
        if parts.is_empty() || parts.len() > self.free.len() {
            return Err(Full);
        }
        let chain: Vec<u16> = self
            .free
            .drain(self.free.len() - parts.len()..)
            .rev()
            .collect();
        for (position, (&index, part)) in chain.iter().zip(parts).enumerate() {
            let next = chain.get(position + 1);
            let write = if part.device_writes {
                descriptor::WRITE
            } else {
                0
            };
            let more = if next.is_some() { descriptor::NEXT } else { 0 };
            let entry = self.layout.descriptors + u64::from(index) * descriptor::SIZE;
            self.memory.write_u64(entry, part.address);
            self.memory.write_u32(entry + 8, part.length);
            self.memory.write_u16(entry + 12, write | more);
            self.memory
                .write_u16(entry + 14, next.copied().unwrap_or(0));
        }
        let head = chain[0];
        let slot = u64::from(self.added % self.size);
        self.memory
            .write_u16(self.layout.available + 4 + 2 * slot, head);
        self.chains[usize::from(head)] = chain;
        self.added = self.added.wrapping_add(1);
        Ok(head)
    }

    /// Shows the device all that was added. Returns whether it wants the doorbell for that.
    pub fn publish(&mut self) -> bool {
        if self.published == self.added {
            return false;
        }
        self.memory
            .store_index(self.layout.available + 2, self.added);
        self.published = self.added;
        // The device sets the flag, then looks at the index once more; we write the index, then look at the flag.
        self.memory.fence();
        self.memory.read_u16(self.layout.used) & USED_NO_NOTIFY == 0
    }

    /// A request that the device has finished, if there is one.
    pub fn take(&mut self) -> Result<Option<Used>, BadAnswer> {
        if self.memory.load_index(self.layout.used + 2) == self.taken {
            return Ok(None);
        }
        let entry = self.layout.used + 4 + 8 * u64::from(self.taken % self.size);
        let id = self.memory.read_u32(entry);
        let written = self.memory.read_u32(entry + 4);
        let chain = self.chains.get_mut(id as usize).ok_or(BadAnswer(id))?;
        if chain.is_empty() {
            return Err(BadAnswer(id));
        }
        self.free.append(chain);
        self.taken = self.taken.wrapping_add(1);
        Ok(Some(Used {
            head: id as u16,
            written,
        }))
    }

    /// Asks for interrupts, or for none.
    pub fn set_interrupts(&self, wanted: bool) {
        self.memory.write_u16(
            self.layout.available,
            if wanted { 0 } else { AVAILABLE_NO_INTERRUPT },
        );
    }
}

#[cfg(test)]
#[path = "queue_test.rs"]
mod tests;
