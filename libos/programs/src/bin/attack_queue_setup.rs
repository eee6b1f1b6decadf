//! Enables queues whose size is no power of two or too large, or whose rings are not aligned.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::expect_equal;
use exo_programs::raw_disk::{RawDisk, Reaction};
use exo_programs::victim::Victim;
use exo_rt::abi::function::StopReason::{QueueSize, RingAlignment};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    RawDisk::for_each_service(attack)
}

fn attack(disk: &mut RawDisk) -> Verdict {
    disk.transport.reset(); // only then the register shows the limit
    let limit = disk.transport.queue_size_limit(0);
    for size in [0, 3, 12, limit - 1, limit + 1, limit * 2, u16::MAX] {
        let setup = exo_drivers::transport::QueueSetup {
            size,
            ..disk.setup()
        };
        disk.restart_with(&setup)?;
        let reaction = disk.advance(1);
        disk.expect("a size", reaction, Reaction::Stopped(QueueSize))?;
    }
    for (index, offset) in [(0, 8), (1, 1), (2, 2)] {
        let mut setup = disk.setup();
        setup.addresses[index] += offset;
        disk.restart_with(&setup)?;
        let reaction = disk.advance(1);
        disk.expect("an alignment", reaction, Reaction::Stopped(RingAlignment))?;
    }
    disk.transport.reset();
    expect_equal(
        "the limit afterwards",
        disk.transport.queue_size_limit(0),
        limit,
    )
}
