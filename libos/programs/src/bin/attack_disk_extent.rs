//! Reads and writes outside the part of the disk that the function was given.
#![no_std]
#![no_main]

use exo_drivers::virtio::block::{
    CONFIGURATION_CAPACITY, IN, OUT, SECTOR_SIZE, STATUS_IO_ERROR, STATUS_OK,
};
use exo_programs::Verdict;
use exo_programs::attack::expect_equal;
use exo_programs::raw_disk::{DATA, DATA_SIZE, RawDisk, Reaction};
use exo_programs::victim::Victim;

exo_rt::program!(main);

/// What the manifest gives: sectors 8 to 24 of the disk.
const EXTENT: u64 = 16;
/// Sectors of one request.
const SECTORS: u64 = DATA_SIZE / SECTOR_SIZE;
/// What a refused read must leave.
const UNTOUCHED: u64 = 0x5555_aaaa_5555_aaaa;

fn main() -> Verdict {
    Victim::await_ready();
    RawDisk::for_each_service(attack)
}

fn attack(disk: &mut RawDisk) -> Verdict {
    expect_equal(
        "the capacity",
        disk.transport.configuration_u64(CONFIGURATION_CAPACITY),
        EXTENT,
    )?;
    for sector in [
        EXTENT,
        EXTENT - SECTORS + 1,
        EXTENT - 1,
        1 << 32,
        u64::MAX / SECTOR_SIZE,
        u64::MAX - 8,
        u64::MAX,
    ] {
        for kind in [IN, OUT] {
            for offset in (0..DATA_SIZE).step_by(8) {
                disk.memory.write_u64(DATA + offset, UNTOUCHED);
            }
            let chain = disk.request(kind, sector);
            let reaction = disk.offer_chain(&chain);
            expect_equal(
                "outside the extent",
                reaction,
                Ok(Reaction::Finished(STATUS_IO_ERROR)),
            )?;
            for offset in (0..DATA_SIZE).step_by(8) {
                expect_equal("the buffer", disk.memory.read_u64(DATA + offset), UNTOUCHED)?;
            }
        }
    }
    let chain = disk.request(IN, EXTENT - SECTORS);
    let reaction = disk.offer_chain(&chain);
    expect_equal(
        "the end of the extent",
        reaction,
        Ok(Reaction::Finished(STATUS_OK)),
    )
}
