//! Writes its disk full of a pattern, flushes, reads it back, discards the second half, and checks that this reads as zero.
//!
//! `--interrupts`: sleep until the device interrupts, instead of polling.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};

use exo_drivers::block::{Block, BlockError, Buffer, Options, Request};
use exo_drivers::transport::Transport;
use exo_drivers::virtio::DEVICE_BLOCK;
use exo_drivers::virtio::block::SECTOR_SIZE;
use exo_programs::service::service_by_arguments;
use exo_rt::dma::DmaMemory;
use exo_rt::println;

exo_rt::program!(main);

/// Sectors of a request.
const SECTORS: u64 = 64;

/// The word at a byte offset of the disk.
fn pattern(offset: u64) -> u64 {
    offset ^ 0x6469_736b_6469_736b
}

fn main() -> Result<(), String> {
    let service = service_by_arguments()?;
    let function = Transport::find(DEVICE_BLOCK, 0).map_err(|error| error.to_string())?;
    let mut disk =
        Block::open(function, Options { depth: 1, service }).map_err(|error| error.to_string())?;
    let memory = DmaMemory::allocate(SECTORS * SECTOR_SIZE).map_err(|error| error.to_string())?;
    let sectors = disk.sectors();
    let failed = |error: BlockError| error.to_string();
    for first in (0..sectors).step_by(SECTORS as usize) {
        let buffer = buffer_at(&memory, first, sectors);
        for offset in (0..u64::from(buffer.length)).step_by(8) {
            memory.write_u64(offset, pattern(first * SECTOR_SIZE + offset));
        }
        disk.run(Request::Write(first, buffer)).map_err(failed)?;
    }
    disk.run(Request::Flush).map_err(failed)?;
    check(&mut disk, &memory, pattern, 0..sectors)?;
    let half = sectors / 2;
    disk.run(Request::Discard(half, (sectors - half) as u32))
        .map_err(failed)?;
    disk.run(Request::Flush).map_err(failed)?;
    check(&mut disk, &memory, pattern, 0..half)?;
    check(&mut disk, &memory, |_| 0, half..sectors)?;
    println!("disk-write: {sectors} sectors written, read and half discarded");
    Ok(())
}

/// As much as a request takes from sector `first` on.
fn buffer_at(memory: &DmaMemory, first: u64, end: u64) -> Buffer<'_> {
    Buffer {
        memory,
        offset: 0,
        length: ((end - first).min(SECTORS) * SECTOR_SIZE) as u32,
    }
}

fn check(
    disk: &mut Block,
    memory: &DmaMemory,
    due: fn(u64) -> u64,
    sectors: core::ops::Range<u64>,
) -> Result<(), String> {
    for first in sectors.clone().step_by(SECTORS as usize) {
        let buffer = buffer_at(memory, first, sectors.end);
        disk.run(Request::Read(first, buffer))
            .map_err(|error| error.to_string())?;
        for offset in (0..u64::from(buffer.length)).step_by(8) {
            let (at, found) = (first * SECTOR_SIZE + offset, memory.read_u64(offset));
            if found != due(at) {
                return Err(format!(
                    "byte {at} of the disk: {found:#x}, not {:#x}",
                    due(at)
                ));
            }
        }
    }
    Ok(())
}
