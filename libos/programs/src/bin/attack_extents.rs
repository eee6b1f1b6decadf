//! Makes larger extents and more rights out of those that it was given, and writes where it may only read.
#![no_std]
#![no_main]

use exo_drivers::virtio::block::{
    CONFIGURATION_CAPACITY, IN, OUT, SECTOR_SIZE, STATUS_IO_ERROR, STATUS_OK,
};
use exo_programs::Verdict;
use exo_programs::attack::{expect_bad_capability, expect_done, expect_equal, expect_error};
use exo_programs::raw_disk::{DATA, DATA_SIZE, RawDisk, Reaction};
use exo_programs::victim::Victim;
use exo_rt::abi::function::QueueService;
use exo_rt::abi::{Capability, Error, Kind, Rights};
use exo_rt::{environment, gate};

exo_rt::program!(main);

/// What the manifest gives: sectors 8 to 24, and, to be read only, 32 to 48.
const WRITABLE: (u64, u64) = (8, 16);
const READABLE: (u64, u64) = (32, 16);
/// Sectors of one request.
const SECTORS: u64 = DATA_SIZE / SECTOR_SIZE;

fn main() -> Verdict {
    Victim::await_ready();
    let mut extents = environment::capabilities_of(Kind::Extent);
    let (Some((writable, entry)), Some((readable, _))) = (extents.next(), extents.next()) else {
        return Err("two extents are due".into());
    };
    expect_equal("the first", (entry.first, entry.count), WRITABLE)?;
    split_beyond(writable, readable)?;

    let function = environment::functions().next().expect("a function");
    let answer = gate::extent_bind(readable, function.capability);
    expect_error("before the function is bound", answer, Error::BadState)?;
    let mut disk = RawDisk::open(QueueService::Events)?;
    let other_disk = environment::functions().nth(1).expect("two functions");
    expect_done(
        "the other function",
        gate::function_bind(other_disk.capability),
    )?;
    let bind = |extent, function| gate::extent_bind(extent, function);
    let own = function.capability;
    expect_error(
        "another disk",
        bind(readable, other_disk.capability),
        Error::OutOfRange,
    )?;
    expect_error("a function as extent", bind(own, own), Error::WrongKind)?;
    expect_error(
        "an extent as function",
        bind(readable, readable),
        Error::WrongKind,
    )?;
    expect_capacity(&disk, 0)?;
    expect_outcome(&mut disk, IN, 0, STATUS_IO_ERROR)?;

    expect_done("binding", bind(readable, own))?;
    expect_error("binding twice", bind(readable, own), Error::BadState)?;
    expect_error("another extent", bind(writable, own), Error::BadState)?;
    expect_extent(&mut disk, READABLE.1, STATUS_IO_ERROR)?;
    expect_done("giving it up", gate::capability_free(readable))?;
    expect_capacity(&disk, 0)?;
    expect_outcome(&mut disk, IN, 0, STATUS_IO_ERROR)?;

    let narrow = gate::capability_derive(writable, 12, SECTORS, Rights::READ_WRITE);
    let narrow = expect_done("a part", narrow)?;
    expect_done("binding the part", bind(narrow, own))?;
    expect_extent(&mut disk, SECTORS, STATUS_OK)?;
    expect_done("taking the part back", gate::capability_revoke(writable))?;
    expect_bad_capability(narrow, 0)?;
    expect_capacity(&disk, 0)?;
    expect_outcome(&mut disk, OUT, 0, STATUS_IO_ERROR)
}

fn split_beyond(writable: Capability, readable: Capability) -> Verdict {
    let (first, count) = WRITABLE;
    for (first, count) in [
        (first - 1, 1),
        (first, count + 1),
        (first + count, 1),
        (0, u64::MAX),
        (u64::MAX, 2),
        (READABLE.0, 1),
    ] {
        let answer = gate::capability_derive(writable, first, count, Rights::READ);
        expect_error("a part outside", answer, Error::OutOfRange)?;
    }
    let answer = gate::capability_derive(readable, READABLE.0, 1, Rights::READ_WRITE);
    expect_error("a right that is not there", answer, Error::NotPermitted)?;
    let kind = Kind::Frames;
    let answer = gate::capability_derive_kind(writable, first, 1, Rights::READ, kind);
    expect_error("frames of an extent", answer, Error::WrongKind)
}

fn expect_capacity(disk: &RawDisk, due: u64) -> Verdict {
    let found = disk.transport.configuration_u64(CONFIGURATION_CAPACITY);
    expect_equal("the capacity", found, due)
}

/// The extent is so large, its ends can be read, nothing outside can, and writes end with `write_status`.
fn expect_extent(disk: &mut RawDisk, sectors: u64, write_status: u8) -> Verdict {
    expect_capacity(disk, sectors)?;
    for sector in [0, sectors - SECTORS] {
        expect_outcome(disk, IN, sector, STATUS_OK)?;
        expect_outcome(disk, OUT, sector, write_status)?;
    }
    for sector in [sectors - SECTORS + 1, sectors, 1 << 40, u64::MAX] {
        expect_outcome(disk, IN, sector, STATUS_IO_ERROR)?;
        expect_outcome(disk, OUT, sector, STATUS_IO_ERROR)?;
    }
    Ok(())
}

fn expect_outcome(disk: &mut RawDisk, kind: u32, sector: u64, due: u8) -> Verdict {
    disk.memory.write_u64(DATA, sector);
    let chain = disk.request(kind, sector);
    let reaction = disk.offer_chain(&chain);
    expect_equal("a request", reaction, Ok(Reaction::Finished(due)))
}
