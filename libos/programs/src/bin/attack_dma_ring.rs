//! Lets the rings themselves lie in memory that is not in the domain.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use exo_programs::Verdict;
use exo_programs::raw_disk::{RawDisk, Reaction};
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
        for (index, ring) in ["descriptors", "available ring", "used ring"]
            .into_iter()
            .enumerate()
        {
            let mut setup = disk.setup();
            setup.addresses[index] = address;
            disk.restart_with(&setup)?;
            let reaction = disk.advance(1);
            let what = format!("{ring} in {target}");
            disk.expect(&what, reaction, Reaction::Stopped(StopReason::RingAddress))?;
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
