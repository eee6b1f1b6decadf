//! Prints the SHA-256 of its disk, in the form of `sha256sum`, with several requests in flight.
//!
//! `--interrupts`: sleep until the device interrupts, instead of polling. `--queue NAME`: through a queue that the
//! environment of that name gives it. `--extent NAME`: of an extent that it gives.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

use exo_drivers::block::{Block, Buffer, Options, Request};
use exo_drivers::transport::Transport;
use exo_drivers::virtio::DEVICE_BLOCK;
use exo_drivers::virtio::block::{SECTOR_SIZE, STATUS_OK};
use exo_programs::gifts::await_gift;
use exo_rt::abi::Kind;
use exo_rt::abi::function::QueueService;
use exo_rt::dma::DmaMemory;
use exo_rt::{environment, gate, println};
use sha2::{Digest, Sha256};

exo_rt::program!(main);

/// Requests in flight.
const DEPTH: u16 = 16;
/// Bytes of a request.
const CHUNK: u64 = 64 << 10;

fn main() -> Result<(), String> {
    let mut options = Options {
        depth: DEPTH,
        service: QueueService::Polled,
    };
    let mut gift = None;
    let mut arguments = environment::arguments();
    while let Some(argument) = arguments.next() {
        let mut giver = || arguments.next().ok_or(format!("{argument} needs a name"));
        match argument.as_str() {
            "--interrupts" => options.service = QueueService::Events,
            "--queue" => gift = Some((Kind::Queue, giver()?)),
            "--extent" => gift = Some((Kind::Extent, giver()?)),
            other => {
                return Err(format!(
                    "unknown argument '{other}'; there are --interrupts, --queue NAME and --extent NAME"
                ));
            }
        }
    }
    let mut disk = open(gift, options)?;
    let digest = hash(&mut disk)?;
    let mut line = String::new();
    for byte in digest {
        line += &format!("{byte:02x}");
    }
    println!("{line}  disk");
    Ok(())
}

/// Opens the disk: a function of its own, or with what another environment gives.
fn open(gift: Option<(Kind, String)>, options: Options) -> Result<Block, String> {
    let given = match &gift {
        Some((kind, giver)) => Some(await_gift(*kind, giver)?.0),
        None => None,
    };
    if let (Some(queue), Some((Kind::Queue, _))) = (given, &gift) {
        return Block::open_queue(queue, options).map_err(|error| error.to_string());
    }
    let function = Transport::find(DEVICE_BLOCK, 0).map_err(|error| error.to_string())?;
    let transport = Transport::bind(function).map_err(|error| error.to_string())?;
    if let Some(extent) = given {
        gate::extent_bind(extent, function.capability)
            .map_err(|error| format!("the extent was not bound: {error}"))?;
    }
    Block::start(transport, options).map_err(|error| error.to_string())
}

/// Chunk n goes through buffer n modulo [`DEPTH`]. Chunks finish in any order and are hashed in theirs.
fn hash(disk: &mut Block) -> Result<[u8; 32], String> {
    let size = disk.sectors() * SECTOR_SIZE;
    let chunks = size.div_ceil(CHUNK);
    let depth = chunks.min(u64::from(DEPTH));
    let buffers = DmaMemory::allocate(depth * CHUNK)
        .map_err(|error| format!("no memory for buffers: {error}"))?;
    let length_of = |chunk: u64| (size - chunk * CHUNK).min(CHUNK) as u32;
    let mut bytes = vec![0; CHUNK as usize];
    let mut chunk_of_slot = [0; DEPTH as usize];
    let mut finished = [false; DEPTH as usize];
    let mut digest = Sha256::new();
    let mut submitted = 0;
    for next in 0..chunks {
        while submitted < chunks && submitted < next + depth && disk.has_room() {
            let buffer = Buffer {
                memory: &buffers,
                offset: submitted % depth * CHUNK,
                length: length_of(submitted),
            };
            let request = Request::Read(submitted * (CHUNK / SECTOR_SIZE), buffer);
            let slot = disk.submit(request).map_err(|error| error.to_string())?;
            chunk_of_slot[usize::from(slot)] = submitted;
            submitted += 1;
        }
        disk.publish();
        let position = (next % depth) as usize;
        while !finished[position] {
            let completion = disk.wait().map_err(|error| error.to_string())?;
            let chunk = chunk_of_slot[usize::from(completion.slot)];
            if completion.status != STATUS_OK {
                return Err(format!(
                    "status {} for sector {}",
                    completion.status,
                    chunk * (CHUNK / SECTOR_SIZE)
                ));
            }
            finished[(chunk % depth) as usize] = true;
        }
        finished[position] = false;
        let piece = &mut bytes[..length_of(next) as usize];
        buffers.copy_out(position as u64 * CHUNK, piece);
        digest.update(piece);
    }
    Ok(digest.finalize().into())
}
