//! Lets the device write where it may only read, and reach memory whose DMA right has ended.
#![no_std]
#![no_main]

use exo_drivers::virtio::block::{IN, OUT, STATUS_OK};
use exo_programs::Verdict;
use exo_programs::attack::expect_equal;
use exo_programs::raw_disk::{DATA_SIZE, RawDisk, Reaction};
use exo_programs::victim::Victim;
use exo_rt::abi::Rights;
use exo_rt::abi::function::StopReason;
use exo_rt::dma::DmaMemory;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    RawDisk::for_each_service(attack)
}

fn attack(disk: &mut RawDisk) -> Verdict {
    let stopped = Reaction::Stopped(StopReason::BufferAddress);
    let read_only = DmaMemory::allocate_with(DATA_SIZE, Rights::READ).expect("memory");
    let mut chain = disk.request(IN, 0);
    chain[1].address = read_only.physical(0);
    let reaction = disk.offer_chain(&chain);
    disk.expect("writing what may be read", reaction, stopped)?;
    for offset in (0..DATA_SIZE).step_by(8) {
        expect_equal("what may only be read", read_only.read_u64(offset), 0)?;
    }
    let passing = DmaMemory::allocate(DATA_SIZE).expect("memory");
    let address = passing.physical(0);
    for kind in [IN, OUT] {
        let mut chain = disk.request(kind, 0);
        chain[1].address = address;
        let reaction = disk.offer_chain(&chain);
        expect_equal(
            "while it is in the domain",
            reaction,
            Ok(Reaction::Finished(STATUS_OK)),
        )?;
    }
    drop(passing);
    for kind in [IN, OUT] {
        let mut chain = disk.request(kind, 0);
        chain[1].address = address;
        let reaction = disk.offer_chain(&chain);
        disk.expect("after it has left the domain", reaction, stopped)?;
    }
    Ok(())
}
