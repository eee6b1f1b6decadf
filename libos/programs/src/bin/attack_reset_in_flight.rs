//! Resets the device with requests in flight: after the reset nothing may be written any more.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::expect_equal;
use exo_programs::raw_disk::{DATA, DATA_SIZE, RawDisk};
use exo_programs::victim::Victim;
use exo_rt::processor;

exo_rt::program!(main);

const ROUNDS: u64 = 32;
/// What must stay after the reset.
const MARK: u64 = 0x6d61_726b_6d61_726b;
const PAUSES: u32 = 100_000;

fn main() -> Verdict {
    Victim::await_ready();
    RawDisk::for_each_service(attack)
}

fn attack(disk: &mut RawDisk) -> Verdict {
    for _ in 0..ROUNDS {
        disk.offer_reads();
        disk.transport.reset();
        let used = disk.used();
        for offset in (0..DATA_SIZE).step_by(8) {
            disk.memory.write_u64(DATA + offset, MARK);
        }
        for _ in 0..PAUSES {
            processor::pause();
        }
        for offset in (0..DATA_SIZE).step_by(8) {
            expect_equal(
                "the data after a reset",
                disk.memory.read_u64(DATA + offset),
                MARK,
            )?;
        }
        expect_equal("the used index after a reset", disk.used(), used)?;
        disk.restart()?;
        disk.expect_service("a reset")?;
    }
    Ok(())
}
