//! Binds, maps, interrupts by and derives from queues of a function of which it was given one.
#![no_std]
#![no_main]

use exo_drivers::virtio::DEVICE_BLOCK;
use exo_programs::Verdict;
use exo_programs::attack::{
    allowed_mapping, expect_bad_capability, expect_done, expect_equal, expect_error,
    expect_map_error,
};
use exo_programs::gifts::await_gift;
use exo_programs::victim::{Victim, capabilities_of_others};
use exo_rt::abi::address::{PAGE_SHIFT, PAGE_SIZE};
use exo_rt::abi::function::REGISTER_PAGES;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Kind, Rights};
use exo_rt::{gate, tables, wait};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let (own, entry) = await_gift(Kind::Queue, "owner")?;
    // Before all else: who has it may soon have ended.
    let is_queue = |kind| kind == Kind::Queue as u8;
    let foreign = loop {
        let found = capabilities_of_others().find(|&(_, _, kind)| is_queue(kind));
        if let Some((_, foreign, _)) = found {
            break foreign;
        }
        wait::yield_now();
    };
    let function = tables::function(entry.resource.into()).expect("the function is there");
    let record = function.record;
    expect_equal("its type", record.device_type, DEVICE_BLOCK)?;
    let frames = [record.registers, record.doorbells].map(|bar| bar >> PAGE_SHIFT);
    let [registers, doorbells] = [
        frames[0] + REGISTER_PAGES + entry.first,
        frames[1] + entry.first,
    ];
    let at = |frame| MapEntry {
        frame,
        capability: own.0,
        ..allowed_mapping()
    };
    expect_map_error("before it is bound", at(registers), Error::BadState)?;
    let vector = entry.first as u32 + 1;
    let answer = gate::vector_bind(own, vector);
    expect_error("a vector before", answer, Error::BadState)?;

    // The same queue by a second capability, and more queues than are there.
    let derive = |first, count, kind| {
        gate::capability_derive_kind(own, first, count, Rights::READ_WRITE, kind)
    };
    for (first, count) in [(0, 2), (1, 1), (u64::MAX, 1)] {
        expect_error(
            "other queues",
            derive(first, count, Kind::Queue),
            Error::NotPermitted,
        )?;
    }
    expect_error(
        "the function",
        derive(0, 1, Kind::Function),
        Error::WrongKind,
    )?;
    expect_done("binding", gate::function_bind(own))?;
    let twice = gate::function_bind(own);
    expect_error("binding twice", twice, Error::BadState)?;

    let others = frames[0]..frames[0] + REGISTER_PAGES + u64::from(record.queues);
    let bells = frames[1]..frames[1] + u64::from(record.queues);
    let kept = [record.msix, record.configuration].map(|page| page >> PAGE_SHIFT);
    for frame in others.chain(bells).chain(kept) {
        if frame != registers && frame != doorbells {
            expect_map_error("another page", at(frame), Error::OutOfRange)?;
        }
    }
    for index in [0, vector + 1, 1 << 16, u32::MAX] {
        let answer = gate::vector_bind(own, index);
        expect_error("another vector", answer, Error::BadArgument)?;
    }
    expect_done("its vector", gate::vector_bind(own, vector))?;
    let answer = gate::vector_bind(own, vector);
    expect_error("its vector twice", answer, Error::BadState)?;
    expect_done("mapping", gate::page_map(&[at(registers)]))?;
    let answer = gate::capability_free(own);
    expect_error("freeing what is mapped", answer, Error::InUse)?;
    let answer = gate::extent_bind(own, own);
    expect_error("an extent", answer, Error::WrongKind)?;

    expect_bad_capability(foreign, frames[0] + PAGE_SIZE)
}
