//! Lets the device read its indirect table from memory that is not in its domain, and the table name such memory.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use exo_drivers::virtio::block::{IN, OUT};
use exo_drivers::virtio::descriptor;
use exo_programs::Verdict;
use exo_programs::raw_disk::{Descriptor, RawDisk, Reaction};
use exo_programs::victim::Victim;
use exo_rt::abi::function::StopReason;

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready();
    RawDisk::for_each_service(|disk| attack(&victim, disk))
}

fn attack(victim: &Victim, disk: &mut RawDisk) -> Verdict {
    for (target, address) in disk.addresses_out_of_reach(victim) {
        let table = Descriptor {
            address,
            length: 48,
            flags: descriptor::INDIRECT,
            next: 0,
        };
        let reaction = disk.offer_chain(&[table]);
        let what = format!("a table in {target}");
        disk.expect(
            &what,
            reaction,
            Reaction::Stopped(StopReason::IndirectAddress),
        )?;
        for kind in [IN, OUT] {
            let mut chain = disk.request(kind, 0);
            chain[1].address = address;
            let reaction = disk.offer_table(&chain);
            let what = format!("request {kind}, by a table, {target}");
            disk.expect(
                &what,
                reaction,
                Reaction::Stopped(StopReason::BufferAddress),
            )?;
        }
    }
    Ok(())
}
