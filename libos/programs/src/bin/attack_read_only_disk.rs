//! Writes to, and discards from, a disk that is read-only.
#![no_std]
#![no_main]

use exo_drivers::virtio::block::{DISCARD, IN, OUT, STATUS_IO_ERROR};
use exo_drivers::virtio::feature::BLOCK_READ_ONLY;
use exo_programs::Verdict;
use exo_programs::attack::expect_equal;
use exo_programs::raw_disk::{DATA, DATA_SIZE, RawDisk, Reaction};
use exo_programs::victim::Victim;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    RawDisk::for_each_service(attack)
}

fn attack(disk: &mut RawDisk) -> Verdict {
    expect_equal(
        "the feature",
        disk.transport.device_features() & BLOCK_READ_ONLY,
        BLOCK_READ_ONLY,
    )?;
    disk.expect_service("a read")?;
    let before = disk.memory.read_u64(DATA);
    for offset in (0..DATA_SIZE).step_by(8) {
        disk.memory.write_u64(DATA + offset, !before);
    }
    for kind in [OUT, DISCARD] {
        let mut chain = disk.request(kind, 0);
        if kind == DISCARD {
            disk.memory.write_u64(DATA, 0); // segment: sector 0
            disk.memory.write_u64(DATA + 8, 1); // one sector, no flags
            chain[1].length = 16;
        }
        let reaction = disk.offer_chain(&chain);
        expect_equal(
            "a change",
            reaction,
            Ok(Reaction::Finished(STATUS_IO_ERROR)),
        )?;
    }
    let chain = disk.request(IN, 0);
    disk.offer_chain(&chain)?;
    expect_equal(
        "the first word afterwards",
        disk.memory.read_u64(DATA),
        before,
    )
}
