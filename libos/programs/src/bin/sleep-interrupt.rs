//! Reads its disk sector by sector, and sleeps on a predicate over the count of interrupts until each has come.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};

use exo_drivers::block::{Block, BlockError, Buffer, Completion, Options, Request};
use exo_drivers::transport::Transport;
use exo_drivers::virtio::DEVICE_BLOCK;
use exo_drivers::virtio::block::{SECTOR_SIZE, STATUS_OK};
use exo_rt::abi::function::QueueService;
use exo_rt::dma::DmaMemory;
use exo_rt::{environment, gate, predicate};

exo_rt::program!(main);

/// Sectors to read.
const SECTORS: u64 = 32;

fn main() -> Result<(), String> {
    let function = Transport::find(DEVICE_BLOCK, 0).map_err(|error| error.to_string())?;
    let options = Options {
        depth: 1,
        service: QueueService::Events,
    };
    let mut disk = Block::open(function, options).map_err(|error| error.to_string())?;
    let memory = DmaMemory::allocate(SECTOR_SIZE).map_err(|error| error.to_string())?;
    for sector in 0..SECTORS {
        let seen = environment::events();
        let buffer = Buffer {
            memory: &memory,
            offset: 0,
            length: SECTOR_SIZE as u32,
        };
        let submitted = disk.submit(Request::Read(sector, buffer));
        submitted.map_err(|error| error.to_string())?;
        disk.publish();
        let completion = sleep_until_done(&mut disk, seen).map_err(|error| error.to_string())?;
        let first = memory.read_u64(0);
        if completion.status != STATUS_OK || first != sector * SECTOR_SIZE {
            let status = completion.status;
            return Err(format!(
                "sector {sector}: status {status}, first word {first:#x}"
            ));
        }
    }
    Ok(())
}

fn sleep_until_done(disk: &mut Block, mut seen: u64) -> Result<Completion, BlockError> {
    loop {
        let bound = gate::predicate_bind(&[predicate::events_differ(seen)]);
        bound.expect("the call page can be read");
        predicate::sleep().expect("a predicate is bound");
        seen = environment::events();
        if let Some(completion) = disk.poll()? {
            return Ok(completion);
        }
    }
}
