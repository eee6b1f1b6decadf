//! Lengths that overflow when they are added up, or to their address.
#![no_std]
#![no_main]

use exo_drivers::virtio::block::{IN, OUT};
use exo_drivers::virtio::descriptor::{NEXT, WRITE};
use exo_programs::Verdict;
use exo_programs::raw_disk::{Descriptor, RawDisk, Reaction};
use exo_programs::victim::Victim;
use exo_rt::abi::function::StopReason::{BufferAddress, ChainLength};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    RawDisk::for_each_service(attack)
}

fn attack(disk: &mut RawDisk) -> Verdict {
    for (kind, flags) in [(IN, WRITE), (OUT, 0)] {
        let [header, data, status] = disk.request(kind, 0);
        let huge = |next| Descriptor {
            length: u32::MAX,
            flags: flags | NEXT,
            next,
            ..data
        };
        let reaction =
            disk.offer_chain(&[header, huge(2), huge(3), Descriptor { next: 0, ..status }]);
        disk.expect(
            "lengths that add up to 8 GiB",
            reaction,
            Reaction::Stopped(ChainLength),
        )?;
        let [header, data, status] = disk.request(kind, 0);
        let behind = Descriptor {
            length: 0x10_0000,
            ..data
        };
        let reaction = disk.offer_chain(&[header, behind, status]);
        disk.expect(
            "a length that leaves the domain",
            reaction,
            Reaction::Stopped(BufferAddress),
        )?;
        let [header, data, status] = disk.request(kind, 0);
        let wrapping = Descriptor {
            address: u64::MAX - 511,
            length: 1024,
            ..data
        };
        let reaction = disk.offer_chain(&[header, wrapping, status]);
        disk.expect(
            "an address that wraps",
            reaction,
            Reaction::Stopped(BufferAddress),
        )?;
        let [header, data, status] = disk.request(kind, 0);
        let end = disk.memory.physical(disk.memory.len());
        let across = Descriptor {
            address: end - 512,
            length: 1024,
            ..data
        };
        let reaction = disk.offer_chain(&[header, across, status]);
        disk.expect(
            "across the end of the mapping",
            reaction,
            Reaction::Stopped(BufferAddress),
        )?;
    }
    Ok(())
}
