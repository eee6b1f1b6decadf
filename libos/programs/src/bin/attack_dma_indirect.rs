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
use exo_rt::abi::layout::KERNEL_DATA;
use exo_rt::{tables, window};

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready();
    RawDisk::for_each_service(|disk| attack(&victim, disk))
}

fn attack(victim: &Victim, disk: &mut RawDisk) -> Verdict {
    for (target, address) in targets(victim, disk) {
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

/// Physical addresses that the function may not reach, and what they are.
fn targets(victim: &Victim, disk: &RawDisk) -> [(&'static str, u64); 6] {
    let record = disk.transport.function.entry.record;
    [
        ("the victim's memory", victim.physical()),
        ("the kernel's memory", KERNEL_DATA),
        ("a device", record.registers),
        ("behind the end of memory", tables::memory_end()),
        ("the end of the address space", u64::MAX - 0xfff),
        (
            "own memory that is not in the domain",
            window::physical(window::grant_start()).unwrap_or(0),
        ),
    ]
}
