//! Maps blocks as pages of 2 MiB: what is written through them arrives, rights hold, what is revoked is gone, and nonsense is refused.
#![no_std]
#![no_main]

extern crate alloc;

use exo_programs::Verdict;
use exo_programs::attack::{
    NOT_PRESENT_READ, NOT_PRESENT_WRITE, PROTECTED_EXECUTE, PROTECTED_WRITE, expect_done,
    expect_equal, expect_error, expect_page_fault,
};
use exo_rt::abi::address::{BLOCK_FRAMES, BLOCK_ORDER, BLOCK_SIZE, PAGE_SIZE, PROGRAM_END};
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::map::{LARGE_PAGES, MapEntry};
use exo_rt::abi::page_entry::{ACCESSED, DIRTY, LARGE};
use exo_rt::abi::{Capability, Error, Rights};
use exo_rt::page_tables::page_entry;
use exo_rt::{gate, println, probe, tables, window};

exo_rt::program!(main);

/// Where the blocks are mapped.
const PLACE: u64 = 0x10_0000_0000;
/// Blocks.
const BLOCKS: u64 = 3;

fn main() -> Verdict {
    let root = expect_done(
        "three blocks",
        gate::frame_allocate(ANY_FRAME, BLOCKS, BLOCK_ORDER),
    )?;
    let first = tables::capability(root.slot()).ok_or("no entry")?.first;
    let all = MapEntry {
        address: PLACE,
        frame: first,
        pages: BLOCKS as u32,
        rights: Rights::READ_WRITE.0 | LARGE_PAGES,
        capability: root.0,
    };
    expect_done("mapping", gate::page_map(&[all]))?;
    for block in 0..BLOCKS {
        let place = PLACE + block * BLOCK_SIZE + 0x1008 * (block + 1) / 8 * 8;
        let number = 0x1234_5678_9abc_def0 ^ block;
        let written = probe::write(place, number);
        expect_equal("a write", written.is_ok(), true)?;
        let seen = probe::read(window::address_of(first) + (place - PLACE));
        expect_equal("what the window shows", seen.ok(), Some(number))?;
        let mappings = tables::block(first / BLOCK_FRAMES + block).map(|entry| entry.mappings);
        expect_equal("mappings of a block", mappings, Some(1))?;
        let entry = page_entry(place).ok_or("no page-directory entry")?;
        expect_equal("marks", entry.has(LARGE | ACCESSED | DIRTY), true)?;
        expect_equal("frame", entry.frame(), first + block * BLOCK_FRAMES)?;
    }
    refused(all)?;
    rights(all, root, first)?;
    revoked(all, root, first)?;
    expect_done("freeing", gate::capability_free(root))?;
    println!("large-pages: as they should be");
    Ok(())
}

/// Nothing of this is done.
fn refused(all: MapEntry) -> Verdict {
    let small = Rights::READ.0;
    let tables_before = tables::own_environment().tables;
    let elsewhere = PLACE + 64 * BLOCK_SIZE;
    for (what, entry, error) in [
        ("again", all, Error::InUse),
        (
            "a page in a large one",
            MapEntry {
                rights: small,
                pages: 1,
                address: PLACE + PAGE_SIZE,
                ..all
            },
            Error::InUse,
        ),
        (
            "an odd address",
            MapEntry {
                address: elsewhere + PAGE_SIZE,
                ..all
            },
            Error::BadAddress,
        ),
        (
            "an odd frame",
            MapEntry {
                address: elsewhere,
                frame: all.frame + 1,
                pages: 1,
                ..all
            },
            Error::BadAddress,
        ),
        (
            "too many",
            MapEntry {
                address: elsewhere,
                pages: BLOCKS as u32 + 1,
                ..all
            },
            Error::OutOfRange,
        ),
        (
            "the next block",
            MapEntry {
                address: elsewhere,
                frame: all.frame + BLOCKS * BLOCK_FRAMES,
                pages: 1,
                ..all
            },
            Error::OutOfRange,
        ),
        (
            "none",
            MapEntry {
                address: elsewhere,
                pages: 0,
                ..all
            },
            Error::BadCount,
        ),
        (
            "very many",
            MapEntry {
                address: elsewhere,
                pages: 513,
                ..all
            },
            Error::BadCount,
        ),
        (
            "across 1 GiB",
            MapEntry {
                address: PLACE + (1 << 30) - BLOCK_SIZE,
                pages: 2,
                ..all
            },
            Error::BadAddress,
        ),
        (
            "the frame window",
            MapEntry {
                address: PROGRAM_END,
                ..all
            },
            Error::BadAddress,
        ),
        ("at null", MapEntry { address: 0, ..all }, Error::BadAddress),
        (
            "a right without a meaning",
            MapEntry {
                address: elsewhere,
                rights: all.rights | 8,
                ..all
            },
            Error::BadArgument,
        ),
        (
            "the program as blocks",
            MapEntry {
                address: elsewhere,
                pages: 1,
                capability: image().0,
                ..all
            },
            Error::WrongKind,
        ),
        (
            "no capability",
            MapEntry {
                address: elsewhere,
                capability: 0,
                ..all
            },
            Error::BadCapability,
        ),
    ] {
        expect_error(what, gate::page_map(&[entry]), error)?;
    }
    let page = MapEntry {
        rights: small,
        pages: 1,
        address: PLACE + PAGE_SIZE,
        ..all
    };
    expect_error(
        "unmapping a part",
        gate::page_unmap(&[page]),
        Error::NotMapped,
    )?;
    expect_error(
        "protecting a part",
        gate::page_protect(&[page]),
        Error::NotMapped,
    )?;
    expect_equal(
        "page tables",
        tables::own_environment().tables,
        tables_before,
    )?;
    // Where a page table is, there is no room for a large page.
    let table = MapEntry {
        rights: small,
        pages: 1,
        address: elsewhere,
        ..all
    };
    expect_done("a page", gate::page_map(&[table]))?;
    let large = MapEntry {
        address: elsewhere,
        pages: 1,
        ..all
    };
    expect_error("over a page table", gate::page_map(&[large]), Error::InUse)?;
    expect_error(
        "a page as a large one",
        gate::page_unmap(&[large]),
        Error::NotMapped,
    )?;
    expect_done("unmapping", gate::page_unmap(&[table]))?;
    Ok(())
}

fn image() -> Capability {
    exo_rt::environment::capabilities_of(exo_rt::abi::Kind::Frames)
        .next()
        .map_or(Capability::NONE, |(capability, _)| capability)
}

/// Rights change, under another capability, which then is all that matters.
fn rights(all: MapEntry, root: Capability, first: u64) -> Verdict {
    let count = BLOCKS * BLOCK_FRAMES;
    let derived = gate::capability_derive(root, first, count, Rights::READ);
    let capability = expect_done("deriving", derived)?.0;
    let one = MapEntry {
        address: PLACE + BLOCK_SIZE,
        pages: 1,
        ..all
    };
    let write = MapEntry { capability, ..one };
    expect_error(
        "writable",
        gate::page_protect(&[write]),
        Error::NotPermitted,
    )?;
    let read = MapEntry {
        rights: Rights::READ.0 | LARGE_PAGES,
        ..write
    };
    expect_done("protecting", gate::page_protect(&[read]))?;
    let place = one.address + 0x1_2340;
    expect_equal("a read", probe::read(place).is_ok(), true)?;
    expect_page_fault("a write", probe::write(place, 0), PROTECTED_WRITE, place)?;
    expect_page_fault("a call", probe::execute(place), PROTECTED_EXECUTE, place)?;
    let busy = gate::capability_free(Capability(capability));
    expect_error("freeing what is mapped", busy, Error::InUse)?;
    expect_done("unmapping", gate::page_unmap(&[one]))?;
    expect_page_fault("a read", probe::read(place), NOT_PRESENT_READ, place)?;
    expect_done("mapping", gate::page_map(&[read]))?;
    Ok(())
}

/// What is revoked is unmapped; the rest stays.
fn revoked(all: MapEntry, root: Capability, first: u64) -> Verdict {
    expect_done("revoking", gate::capability_revoke(root))?;
    let middle = PLACE + BLOCK_SIZE;
    expect_page_fault("a read", probe::read(middle), NOT_PRESENT_READ, middle)?;
    expect_page_fault(
        "a write",
        probe::write(middle, 0),
        NOT_PRESENT_WRITE,
        middle,
    )?;
    let last = PLACE + 2 * BLOCK_SIZE;
    expect_equal("its neighbour", probe::write(last, 5).is_ok(), true)?;
    for (block, mappings) in [(0, 1), (1, 0), (2, 1)] {
        let found = tables::block(first / BLOCK_FRAMES + block).map(|entry| entry.mappings);
        expect_equal("mappings of a block", found, Some(mappings))?;
    }
    for address in [PLACE, last] {
        let one = MapEntry {
            address,
            pages: 1,
            ..all
        };
        expect_done("unmapping", gate::page_unmap(&[one]))?;
        expect_page_fault("a read", probe::read(address), NOT_PRESENT_READ, address)?;
    }
    Ok(())
}
