//! Lets a device write to frames for as long as it can, while they are taken by force: they leave its domain first.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use exo_drivers::virtio::block;
use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal};
use exo_programs::cache::Chunk;
use exo_programs::raw_disk::{RawDisk, Reaction};
use exo_programs::revocation::{await_farewell, expect_repossession, serial_of, sleep_once};
use exo_programs::victim::Victim;
use exo_rt::abi::Rights;
use exo_rt::abi::address::{PAGE_SHIFT, PAGE_SIZE};
use exo_rt::abi::function::{QueueService, StopReason};
use exo_rt::{gate, probe, processor, revocation, window};

exo_rt::program!(main);

const FRAMES: u64 = 8;
/// Looks at frames that somebody else might have by now.
const PAUSES: u32 = 100_000;

fn main() -> Verdict {
    Victim::await_ready();
    let mut disk = RawDisk::open(QueueService::Polled)?;
    let chunk = expect_done("a chunk", Chunk::allocate(FRAMES))?;
    let reach = gate::dma_map(chunk.capability, chunk.first, FRAMES, Rights::READ_WRITE);
    expect_done("DMA", reach)?;
    let mut chain = disk.request(block::IN, 0);
    let [_, data, _] = &mut chain;
    data.address = chunk.first << PAGE_SHIFT;
    data.length = PAGE_SIZE as u32;
    expect_equal(
        "a read",
        disk.offer_chain(&chain)?,
        Reaction::Finished(block::STATUS_OK),
    )?;

    // The test waits for this before it asks.
    sleep_once();
    let reaction = loop {
        match disk.offer_chain(&chain)? {
            Reaction::Finished(block::STATUS_OK) => {}
            other => break other,
        }
    };
    let due = Reaction::Stopped(StopReason::BufferAddress);
    expect_equal("a read into lost frames", reaction, due)?;
    while revocation::repossessed() == 0 {
        processor::pause();
    }
    expect_repossession(0, &chunk)?;
    expect_done(
        "the frames anew",
        gate::frame_allocate(chunk.first, FRAMES, 0),
    )?;
    for _ in 0..PAUSES {
        processor::pause();
    }
    for frame in chunk.first..chunk.first + FRAMES {
        let found = probe::read(window::address_of(frame)).map_err(|fault| format!("{fault}"))?;
        expect_equal("a frame anew", found, 0)?;
    }
    await_farewell(serial_of(0))
}
