//! Indirect tables that are nested, empty, too long, uneven, continued, or loop.
#![no_std]
#![no_main]

use exo_drivers::virtio::block::IN;
use exo_drivers::virtio::descriptor::{INDIRECT, NEXT, SIZE as ENTRY};
use exo_programs::Verdict;
use exo_programs::raw_disk::{DATA_SIZE, Descriptor, RawDisk, Reaction, SIZE, TABLE};
use exo_programs::victim::Victim;
use exo_rt::abi::function::StopReason::{ChainTooLong, DescriptorIndex, IndirectTable};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    RawDisk::for_each_service(attack)
}

fn attack(disk: &mut RawDisk) -> Verdict {
    let address = disk.memory.physical(TABLE);
    let bad = Reaction::Stopped(IndirectTable);
    let too_long = (u32::from(SIZE) + 1) * ENTRY as u32;
    for (what, length, flags) in [
        ("empty", 0, INDIRECT),
        ("uneven", 47, INDIRECT),
        ("less than one entry", 15, INDIRECT),
        ("too long", too_long, INDIRECT),
        ("far too long", !15, INDIRECT),
        ("continued", 48, INDIRECT | NEXT),
    ] {
        for (index, entry) in disk.request(IN, 0).into_iter().enumerate() {
            disk.write_to_table(index as u16, entry);
        }
        disk.write(
            1,
            Descriptor {
                address: disk.memory.physical(0x3000),
                length: DATA_SIZE as u32,
                flags: 0,
                next: 0,
            },
        );
        let reaction = disk.offer_chain(&[Descriptor {
            address,
            length,
            flags,
            next: 1,
        }]);
        disk.expect(what, reaction, bad)?;
    }
    let mut nested = disk.request(IN, 0);
    nested[1] = Descriptor {
        address,
        length: 48,
        flags: INDIRECT,
        next: 0,
    };
    let reaction = disk.offer_table(&nested);
    disk.expect("nested", reaction, bad)?;
    let mut looped = disk.request(IN, 0);
    looped[1].next = 0;
    looped[1].flags = NEXT;
    let reaction = disk.offer_table(&looped);
    disk.expect("a loop", reaction, Reaction::Stopped(ChainTooLong))?;
    let mut leaving = disk.request(IN, 0);
    leaving[0].next = 3;
    let reaction = disk.offer_table(&leaving);
    disk.expect(
        "a next outside",
        reaction,
        Reaction::Stopped(DescriptorIndex),
    )
}
