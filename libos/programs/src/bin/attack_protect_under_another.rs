//! Makes a page writable under one capability that it mapped under another, so that it would stay when either is taken back.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{
    NOT_PRESENT_READ, PLAYGROUND, expect_done, expect_equal, expect_error, expect_page_fault,
};
use exo_programs::sharing::FULL;
use exo_programs::victim::Victim;
use exo_rt::abi::address::PAGE_SIZE;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Capability, Error, Rights};
use exo_rt::{gate, probe, tables};

exo_rt::program!(main);

/// Pages, and frames.
const PAGES: u64 = 5;

fn main() -> Verdict {
    Victim::await_ready();
    let root = expect_done("allocating", gate::frame_allocate(ANY_FRAME, PAGES, 0))?;
    let first = tables::capability(root.slot()).map_or(0, |entry| entry.first);
    let derive = |from, rights| {
        let derived = gate::capability_derive(from, first, PAGES, rights);
        expect_done("deriving", derived)
    };
    let reading = derive(root, Rights::READ)?;
    let above = derive(root, FULL)?;
    let writing = derive(above, Rights::READ_WRITE)?;
    let run = |page: u64, pages: u64, rights: Rights, capability: Capability| MapEntry {
        address: PLAYGROUND + page * PAGE_SIZE,
        frame: first + page,
        pages: pages as u32,
        rights: rights.0,
        capability: capability.0,
    };
    // Which pages are there: bit by page, and the counts in the table say the same.
    let expect_there = |what: &str, pages: u64| -> Verdict {
        for page in 0..PAGES {
            let address = PLAYGROUND + page * PAGE_SIZE;
            let there = pages >> page & 1;
            match there {
                1 => expect_equal(what, probe::read(address), Ok(0))?,
                _ => expect_page_fault(what, probe::read(address), NOT_PRESENT_READ, address)?,
            }
            let mappings = tables::frame(first + page).map(|entry| u64::from(entry.mappings));
            expect_equal(what, mappings, Some(there))?;
        }
        Ok(())
    };
    let all = run(0, PAGES, Rights::READ, reading);
    expect_done("mapping", gate::page_map(&[all]))?;
    let refused = gate::page_protect(&[run(1, 1, Rights::READ_WRITE, reading)]);
    expect_error("writing by reading", refused, Error::NotPermitted)?;
    // The middle, the end, and the start of the list move to the other capability.
    for page in [2, 4, 0] {
        let moved = gate::page_protect(&[run(page, 1, Rights::READ_WRITE, writing)]);
        expect_done("making it writable", moved)?;
        let written = probe::write(PLAYGROUND + page * PAGE_SIZE, 0);
        expect_equal("writing", written, Ok(()))?;
    }
    expect_error("freeing", gate::capability_free(writing), Error::InUse)?;
    expect_done("revoking", gate::capability_revoke(above))?;
    expect_there("after the writable ones were taken", 0b01010)?;
    expect_error("freeing", gate::capability_free(reading), Error::InUse)?;
    expect_done("revoking", gate::capability_revoke(root))?;
    expect_there("after all were taken", 0)?;
    expect_done("freeing", gate::capability_free(root))
}
