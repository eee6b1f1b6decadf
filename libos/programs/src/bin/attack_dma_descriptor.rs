//! Lets the device read from and write to memory that is not in its domain, by descriptors.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use exo_drivers::virtio::block::{IN, OUT};
use exo_programs::Verdict;
use exo_programs::raw_disk::{RawDisk, Reaction};
use exo_programs::victim::Victim;
use exo_rt::abi::function::StopReason;

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready();
    RawDisk::for_each_service(|disk| attack(&victim, disk))
}

fn attack(victim: &Victim, disk: &mut RawDisk) -> Verdict {
    for (target, address) in disk.addresses_out_of_reach(victim) {
        for (kind, part) in [(IN, 1), (OUT, 1), (IN, 0), (IN, 2)] {
            let mut chain = disk.request(kind, 0);
            chain[part].address = address;
            let what = format!("request {kind}, part {part}, {target}");
            let reaction = disk.offer_chain(&chain);
            disk.expect(
                &what,
                reaction,
                Reaction::Stopped(StopReason::BufferAddress),
            )?;
        }
    }
    Ok(())
}
