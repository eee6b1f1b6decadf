//! Requests of a block device (virtio 1.2, section 5.2.6): what a chain asks for.

use exo_abi::function::StopReason;
use exo_abi::virtio::block::{
    DISCARD, FLUSH, HEADER_SIZE, IN, OUT, STATUS_IO_ERROR, STATUS_OK, STATUS_UNSUPPORTED,
};
use virtio_bindings::bindings::virtio_blk::{
    VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
};
use vm_memory::{GuestAddress, GuestMemory as _, Permissions};

use super::extent::Extent;
use crate::devices::chain::Chain;
use crate::devices::endpoint::DmaMemory;
use exo_abi::virtio::block::SECTOR_SIZE;

const HEADER: usize = HEADER_SIZE as usize;

/// What a request asks for, checked against the extent; offsets are bytes of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Disk to the writable part.
    Read(u64),
    /// Readable part to disk.
    Write(u64),
    /// What was written before is safe.
    Flush,
    /// These bytes read as zero.
    Clear(u64, u64),
    /// The disk's name to the writable part.
    Identify,
    /// Nothing but an answer.
    Answer(u8),
}

/// A request: where its status goes, and what it asks for. What is left of the chain is its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Address of the status byte.
    pub status: u64,
    /// What to do.
    pub action: Action,
}

impl Request {
    /// Takes header and status off the chain. An error is one that leaves nowhere to answer to.
    pub fn parse(
        chain: &mut Chain,
        memory: &DmaMemory,
        extent: Extent,
    ) -> Result<Self, StopReason> {
        let mut header = [0; HEADER];
        chain.readable.take_front(memory, &mut header)?;
        let status = chain
            .writable
            .take_last_byte()
            .ok_or(StopReason::RequestStatus)?;
        if !memory.check_range(GuestAddress(status), 1, Permissions::Write) {
            return Err(StopReason::BufferAddress);
        }
        let (kind, sector) = (word(&header, 0), long(&header, 8));
        let action = match kind {
            IN => transfer(extent, sector, chain.writable.length(), Action::Read),
            OUT if !extent.writable => Action::Answer(STATUS_IO_ERROR),
            OUT => transfer(extent, sector, chain.readable.length(), Action::Write),
            FLUSH => Action::Flush,
            VIRTIO_BLK_T_GET_ID => Action::Identify,
            DISCARD | VIRTIO_BLK_T_WRITE_ZEROES => {
                let unmap = match kind {
                    VIRTIO_BLK_T_WRITE_ZEROES => VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
                    _ => 0,
                };
                clear(chain, memory, extent, unmap)?
            }
            _ => Action::Answer(STATUS_UNSUPPORTED),
        };
        Ok(Self { status, action })
    }
}

fn transfer(extent: Extent, sector: u64, length: u32, action: fn(u64) -> Action) -> Action {
    let length = u64::from(length);
    if length % SECTOR_SIZE != 0 {
        return Action::Answer(STATUS_IO_ERROR);
    }
    match extent.offset(sector, length / SECTOR_SIZE) {
        Some(_) if length == 0 => Action::Answer(STATUS_OK),
        Some(offset) => action(offset),
        None => Action::Answer(STATUS_IO_ERROR),
    }
}

/// Discard and write-zeroes, of one range (`max_discard_seg` and `max_write_zeroes_seg` are 1).
fn clear(
    chain: &mut Chain,
    memory: &DmaMemory,
    extent: Extent,
    flags_allowed: u32,
) -> Result<Action, StopReason> {
    let mut range = [0; HEADER];
    if chain.readable.length() as usize != range.len() || !extent.writable {
        return Ok(Action::Answer(STATUS_IO_ERROR));
    }
    chain.readable.take_front(memory, &mut range)?;
    let (sector, sectors, flags) = (long(&range, 0), word(&range, 8), word(&range, 12));
    if flags & !flags_allowed != 0 {
        return Ok(Action::Answer(STATUS_UNSUPPORTED));
    }
    let sectors = u64::from(sectors);
    Ok(match extent.offset(sector, sectors) {
        Some(_) if sectors == 0 => Action::Answer(STATUS_OK),
        Some(offset) => Action::Clear(offset, sectors * SECTOR_SIZE),
        None => Action::Answer(STATUS_IO_ERROR),
    })
}

fn word(bytes: &[u8; HEADER], place: usize) -> u32 {
    long(bytes, place) as u32
}

/// The bytes from `place` on, at most 8, as a number.
fn long(bytes: &[u8; HEADER], place: usize) -> u64 {
    let bytes = bytes.iter().skip(place).take(8);
    bytes.rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}
