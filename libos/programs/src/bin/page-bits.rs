//! Reads its own page tables: what is mapped where, and the CPU's marks, which it clears and sees set again.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use exo_programs::Verdict;
use exo_programs::attack::{PLAYGROUND, allowed_mapping, expect_done, expect_equal};
use exo_rt::abi::Call;
use exo_rt::abi::address::{BLOCK_SIZE, CALL_PAGE, ENVIRONMENT_PAGE, PAGE_SIZE, PROGRAM_END};
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::page_entry::{ACCESSED, DIRTY, LARGE, NO_EXECUTE, USER, WRITE};
use exo_rt::page_tables::page_entry;
use exo_rt::{environment, gate, probe, tables, window};

exo_rt::program!(main);

/// Pages that the test maps.
const PAGES: u64 = 4;
/// Accessed, dirty.
type Marks = [(bool, bool); PAGES as usize];
const NONE: (bool, bool) = (false, false);
const READ: (bool, bool) = (true, false);
const WRITTEN: (bool, bool) = (true, true);

fn main() -> Verdict {
    entries()?;
    for round in 1..=3 {
        marks(round)?;
    }
    expect_equal("protect calls", calls(Call::PageProtect), 3)
}

fn calls(call: Call) -> u64 {
    tables::own_environment().calls[call.index()]
}

/// The last pages of the grant, at the playground.
fn run() -> MapEntry {
    let entry = allowed_mapping();
    MapEntry {
        frame: entry.frame - (PAGES - 1),
        pages: PAGES as u32,
        ..entry
    }
}

fn read_marks() -> Marks {
    core::array::from_fn(|page| {
        let entry = page_entry(PLAYGROUND + page as u64 * PAGE_SIZE).expect("a page");
        (entry.has(ACCESSED), entry.has(DIRTY))
    })
}

/// Nothing is marked, then what is read and what is written, then nothing again.
fn marks(round: u64) -> Verdict {
    expect_done("mapping", gate::page_map(&[run()]))?;
    expect_equal("marks of fresh pages", read_marks(), [NONE; 4])?;
    for (cleared, what) in [(false, "fresh"), (true, "cleared")] {
        expect_equal("a read", probe::read(PLAYGROUND + PAGE_SIZE).ok(), Some(0))?;
        for page in [2, 3] {
            let written = probe::write(PLAYGROUND + page * PAGE_SIZE, round);
            expect_equal("a write", written.is_ok(), true)?;
        }
        let what = format!("marks of {what} pages after use, round {round}");
        expect_equal(&what, read_marks(), [NONE, READ, WRITTEN, WRITTEN])?;
        if !cleared {
            expect_done("clearing", gate::page_protect(&[run()]))?;
            expect_equal("cleared marks", read_marks(), [NONE; 4])?;
        }
    }
    expect_done("unmapping", gate::page_unmap(&[run()]))?;
    expect_equal("nothing", page_entry(PLAYGROUND), None)
}

/// What the kernel mapped is found where it is: pages, large pages, and where there is no table.
fn entries() -> Verdict {
    let grant = page_entry(window::grant_start()).expect("the grant is shown");
    expect_equal(
        "the grant's entry",
        grant.has(LARGE | WRITE | USER | NO_EXECUTE),
        true,
    )?;
    expect_equal(
        "the grant's frame",
        grant.frame(),
        environment::grant_first(),
    )?;
    let code = page_entry(main as *const () as u64).expect("the program is mapped");
    expect_equal("code is written", code.has(WRITE), false)?;
    expect_equal("code is executed", code.has(NO_EXECUTE), false)?;
    let own = page_entry(ENVIRONMENT_PAGE).expect("the environment page");
    let shared = page_entry(CALL_PAGE).expect("the call page");
    expect_equal("the pair", shared.frame(), own.frame() + 1)?;
    expect_equal(
        "writing",
        (own.has(WRITE), shared.has(WRITE)),
        (false, true),
    )?;
    for address in [0, PLAYGROUND, PROGRAM_END - BLOCK_SIZE] {
        let what = format!("an entry for {address:#x}");
        expect_equal(&what, page_entry(address), None)?;
    }
    Ok(())
}
