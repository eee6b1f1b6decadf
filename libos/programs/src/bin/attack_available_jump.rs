//! Moves the available index further than the queue is long.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::raw_disk::{RawDisk, Reaction, SIZE};
use exo_programs::victim::Victim;
use exo_rt::abi::function::StopReason::AvailableIndex;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    RawDisk::for_each_service(attack)
}

fn attack(disk: &mut RawDisk) -> Verdict {
    for count in [SIZE + 1, 0x7fff, 0x8000, u16::MAX] {
        let reaction = disk.advance(count);
        disk.expect("a jump", reaction, Reaction::Stopped(AvailableIndex))?;
    }
    Ok(())
}
