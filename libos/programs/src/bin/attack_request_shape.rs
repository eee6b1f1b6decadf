//! Requests without room for their header or their status, or of no known kind.
#![no_std]
#![no_main]

use exo_drivers::virtio::block::{IN, STATUS_UNSUPPORTED};
use exo_programs::Verdict;
use exo_programs::attack::expect_equal;
use exo_programs::raw_disk::{Descriptor, RawDisk, Reaction};
use exo_programs::victim::Victim;
use exo_rt::abi::function::StopReason::{RequestHeader, RequestStatus};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    RawDisk::for_each_service(attack)
}

fn attack(disk: &mut RawDisk) -> Verdict {
    for length in [0, 1, 15] {
        let [header, data, status] = disk.request(IN, 0);
        let reaction = disk.offer_chain(&[Descriptor { length, ..header }, data, status]);
        disk.expect("a short header", reaction, Reaction::Stopped(RequestHeader))?;
    }
    let [header, ..] = disk.request(IN, 0);
    let reaction = disk.offer_chain(&[Descriptor { flags: 0, ..header }]);
    disk.expect("no status", reaction, Reaction::Stopped(RequestStatus))?;
    let [_, data, status] = disk.request(IN, 0);
    let reaction = disk.offer_chain(&[
        Descriptor { next: 1, ..data },
        Descriptor { next: 0, ..status },
    ]);
    disk.expect("no header", reaction, Reaction::Stopped(RequestHeader))?;
    for kind in [2, 3, 99, u32::MAX] {
        let chain = disk.request(kind, 0);
        let reaction = disk.offer_chain(&chain);
        expect_equal(
            "an unknown kind",
            reaction,
            Ok(Reaction::Finished(STATUS_UNSUPPORTED)),
        )?;
    }
    disk.expect_service("unknown kinds")
}
