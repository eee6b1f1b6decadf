//! Lets the rings themselves lie in memory that is not in the domain.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

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
