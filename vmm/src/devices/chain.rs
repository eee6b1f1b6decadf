//! Descriptor chains (virtio 1.2, section 2.7), walked strictly: whatever is malformed has a reason.
//!
//! virtio-queue's iterator ends silently at a bad descriptor, so a malformed chain would look like a shorter one. Here
//! every descriptor is read once, checked, and kept.

use exo_abi::function::StopReason;
use exo_abi::virtio::descriptor;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemory as _, Permissions};

use super::endpoint::DmaMemory;

/// Bytes of a descriptor.
const DESCRIPTOR_SIZE: u32 = descriptor::SIZE as u32;
const FLAGS: u16 = descriptor::NEXT | descriptor::WRITE | descriptor::INDIRECT;

/// A piece of a buffer, as the driver names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it starts.
    pub address: u64,
    /// Its bytes, never 0.
    pub length: u32,
}

/// A run of segments that one request reads, or writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    segments: Vec<Segment>,
}

impl Buffer {
    /// The segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// All bytes. A chain's cannot overflow.
    pub fn length(&self) -> u32 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Forgets all segments.
    pub fn clear(&mut self) {
        self.segments.clear();
    }

    /// Adds a segment at the end. Empty ones say nothing and are dropped.
    fn push(&mut self, address: u64, length: u32) {
        if length > 0 {
            self.segments.push(Segment { address, length });
        }
    }

    /// Copies the first bytes into `data` and takes them off.
    pub fn take_front(
        &mut self,
        memory: &DmaMemory,
        mut data: &mut [u8],
    ) -> Result<(), StopReason> {
        let mut done = 0;
        for segment in &mut self.segments {
            let count = data.len().min(segment.length as usize);
            let (piece, rest) = data.split_at_mut(count);
            memory
                .read_slice(piece, GuestAddress(segment.address))
                .map_err(|_| StopReason::BufferAddress)?;
            data = rest;
            if count < segment.length as usize {
                segment.address += count as u64;
                segment.length -= count as u32;
                break;
            }
            done += 1;
        }
        if !data.is_empty() {
            return Err(StopReason::RequestHeader);
        }
        self.segments.drain(..done);
        Ok(())
    }

    /// Takes the last byte off and says where it is.
    pub fn take_last_byte(&mut self) -> Option<u64> {
        let segment = self.segments.last_mut()?;
        segment.length -= 1;
        let address = segment.address.wrapping_add(u64::from(segment.length));
        if segment.length == 0 {
            self.segments.pop();
        }
        Some(address)
    }

    /// Whether the function may access all of it.
    pub fn check(&self, memory: &DmaMemory, access: Permissions) -> Result<(), StopReason> {
        let allowed = self.segments.iter().all(|segment| {
            memory.check_range(
                GuestAddress(segment.address),
                segment.length as usize,
                access,
            )
        });
        allowed.then_some(()).ok_or(StopReason::BufferAddress)
    }

    /// Copies `data` to the front; what does not fit is dropped. Returns the bytes copied.
    pub fn fill(&self, memory: &DmaMemory, mut data: &[u8]) -> Result<u32, StopReason> {
        let mut copied = 0;
        for segment in &self.segments {
            let (piece, rest) = data.split_at(data.len().min(segment.length as usize));
            memory
                .write_slice(piece, GuestAddress(segment.address))
                .map_err(|_| StopReason::BufferAddress)?;
            copied += piece.len() as u32;
            data = rest;
            if data.is_empty() {
                break;
            }
        }
        Ok(copied)
    }
}

#[cfg(test)]
impl From<Vec<Segment>> for Buffer {
    fn from(segments: Vec<Segment>) -> Self {
        Self { segments }
    }
}

/// One chain: what the device may read, then what it may write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The readable part.
    pub readable: Buffer,
    /// The writable part.
    pub writable: Buffer,
}

/// Where descriptors are, and what was negotiated about them.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Address of the queue's descriptor table.
    pub address: u64,
    /// Its entries, which is also the most descriptors of a chain (section 2.7.5.3.1).
    pub size: u16,
    /// VIRTIO_F_INDIRECT_DESC was negotiated.
    pub indirect: bool,
}

impl Chain {
    /// Reads the chain that starts at descriptor `head`, in the place of what was here before.
    pub fn read(&mut self, memory: &DmaMemory, table: Table, head: u16) -> Result<(), StopReason> {
        self.readable.clear();
        self.writable.clear();
        let mut address = table.address;
        let mut size = u32::from(table.size);
        let mut index = u32::from(head);
        let mut unreadable = StopReason::RingAddress;
        let mut descriptors = 0;
        let mut total: u32 = 0;
        loop {
            if index >= size {
                return Err(StopReason::DescriptorIndex);
            }
            let place = address.checked_add(u64::from(index * DESCRIPTOR_SIZE));
            let descriptor: Descriptor = place
                .and_then(|place| memory.read_obj(GuestAddress(place)).ok())
                .ok_or(unreadable)?;
            let flags = descriptor.flags();
            if flags & !FLAGS != 0 {
                return Err(StopReason::DescriptorFlags);
            }
            if descriptor.refers_to_indirect_table() {
                // Section 2.7.5.3: one table, at the end of the chain, never nested. Its WRITE flag is to be ignored.
                let nested = unreadable == StopReason::IndirectAddress;
                let length = descriptor.len();
                let entries = length / DESCRIPTOR_SIZE;
                if !table.indirect
                    || nested
                    || descriptor.has_next()
                    || !length.is_multiple_of(DESCRIPTOR_SIZE)
                    || entries == 0
                    || entries > u32::from(table.size)
                {
                    return Err(StopReason::IndirectTable);
                }
                address = descriptor.addr().0;
                size = entries;
                index = 0;
                unreadable = StopReason::IndirectAddress;
                continue;
            }
            descriptors += 1;
            if descriptors > table.size {
                return Err(StopReason::ChainTooLong);
            }
            let length = descriptor.len();
            total = total.checked_add(length).ok_or(StopReason::ChainLength)?;
            if descriptor.is_write_only() {
                self.writable.push(descriptor.addr().0, length);
            } else if self.writable.is_empty() {
                self.readable.push(descriptor.addr().0, length);
            } else {
                return Err(StopReason::DescriptorOrder);
            }
            if !descriptor.has_next() {
                return Ok(());
            }
            index = u32::from(descriptor.next());
        }
    }
}
