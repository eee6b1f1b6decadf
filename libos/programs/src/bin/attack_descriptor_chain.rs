//! Chains without an end, with numbers outside the table, too long, with flags that make no sense.
#![no_std]
#![no_main]

use exo_drivers::virtio::block::IN;
use exo_drivers::virtio::descriptor;
use exo_programs::Verdict;
use exo_programs::raw_disk::{Descriptor, RawDisk, Reaction, SIZE};
use exo_programs::victim::Victim;
use exo_rt::abi::function::StopReason::{self, *};

exo_rt::program!(main);

/// What is wrong, what the VMM must say, and how to make it wrong.
type Case = (&'static str, StopReason, fn(&mut [Descriptor; 3]));

fn main() -> Verdict {
    Victim::await_ready();
    RawDisk::for_each_service(attack)
}

fn attack(disk: &mut RawDisk) -> Verdict {
    let cases: &[Case] = &[
        ("a loop of one", ChainTooLong, |chain| chain[0].next = 0),
        ("a loop of two", ChainTooLong, |chain| {
            chain[1].flags = descriptor::NEXT;
            chain[1].next = 0;
        }),
        ("a next outside the table", DescriptorIndex, |chain| {
            chain[0].next = SIZE
        }),
        ("a next far outside", DescriptorIndex, |chain| {
            chain[0].next = u16::MAX
        }),
        ("a flag without a meaning", DescriptorFlags, |chain| {
            chain[0].flags |= 0x8000
        }),
        ("readable after writable", DescriptorOrder, |chain| {
            chain[0].flags |= descriptor::WRITE;
            chain[1].flags &= !descriptor::WRITE;
        }),
    ];
    for (what, reason, change) in cases {
        let mut chain = disk.request(IN, 0);
        change(&mut chain);
        let reaction = disk.offer_chain(&chain);
        disk.expect(what, reaction, Reaction::Stopped(*reason))?;
    }
    for head in [SIZE, SIZE + 1, u16::MAX] {
        let reaction = disk.offer(head);
        disk.expect(
            "a head outside the table",
            reaction,
            Reaction::Stopped(DescriptorIndex),
        )?;
    }
    Ok(())
}
