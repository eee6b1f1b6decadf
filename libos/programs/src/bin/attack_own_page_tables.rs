//! Writes and executes its own page tables where it may read them, and reaches for the kernel's through them.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{
    Access, NOT_PRESENT_READ, PLAYGROUND, PROTECTED_READ, allowed_mapping, expect_bad_address,
    expect_done, expect_equal, expect_error, expect_page_fault, expect_protected,
};
use exo_programs::victim::Victim;
use exo_rt::abi::Error;
use exo_rt::abi::address::{
    BLOCK_FRAMES, BLOCK_ORDER, BLOCK_SIZE, CALL_PAGE, FRAME_WINDOW, INTERFACE_PAGE, KERNEL_BASE,
    PAGE_SIZE, PAGE_TABLES, entry_address,
};
use exo_rt::abi::frame::BlockState;
use exo_rt::abi::page_entry::{PRESENT, PageEntry};
use exo_rt::page_tables::page_entry;
use exo_rt::{gate, probe, tables, window};

exo_rt::program!(main);

/// Bits of an address that the walk of 4 levels uses.
const WALKED: u64 = (1 << 48) - 1;
/// Entries of the root for the upper half, as offsets of their words.
const UPPER_HALF: u64 = 256 * 8;

/// The entry for `address` in the table of `level`, 0 to 3.
fn entry_of(address: u64, level: u32) -> u64 {
    (0..=level).fold(address & WALKED, |address, _| entry_address(address)) & !7
}

fn main() -> Verdict {
    Victim::await_ready();
    expect_done("mapping", gate::page_map(&[allowed_mapping()]))?;
    let before = page_entry(PLAYGROUND);
    for address in [PLAYGROUND, CALL_PAGE, INTERFACE_PAGE, window::grant_start()] {
        for level in 0..4 {
            let entry = entry_of(address, level);
            // The grant is shown by large pages: where its page table would be, its first page is.
            let data = level == 0 && address == window::grant_start();
            if !data {
                expect_equal(
                    "an entry",
                    probe::read(entry).map(|word| word & PRESENT),
                    Ok(PRESENT),
                )?;
            }
            expect_protected(entry, &[Access::Write, Access::Execute])?;
        }
    }
    expect_equal("the entry", page_entry(PLAYGROUND), before)?;
    let root = entry_of(PLAYGROUND, 3) & !(PAGE_SIZE - 1);
    kernel_tables(root)?;
    expect_bad_address(PAGE_TABLES, 1)?;
    expect_bad_address(root, 1)?;
    table_that_left()
}

/// The root says where the kernel's tables are, and that is all: through its entry nothing can be read.
fn kernel_tables(root: u64) -> Verdict {
    let kernel = entry_of(KERNEL_BASE, 3);
    let entry = PageEntry(probe::read(kernel).map_err(|_| "the root cannot be read")?);
    expect_equal("the kernel's entry in the root", entry.has(PRESENT), true)?;
    for level in 0..3 {
        let place = entry_of(KERNEL_BASE, level);
        let found = probe::read(place);
        expect_page_fault("an entry of the kernel", found, PROTECTED_READ, place)?;
        expect_protected(place, &[Access::Read, Access::Write, Access::Execute])?;
    }
    // Nothing else of the upper half is there.
    for offset in (UPPER_HALF..PAGE_SIZE - 8).step_by(8) {
        expect_equal(
            "an entry of the upper half",
            probe::read(root + offset),
            Ok(0),
        )?;
    }
    Ok(())
}

/// A page table that the environment has given back cannot be read any more, whoever has it then.
fn table_that_left() -> Verdict {
    let free = |&index: &u64| {
        tables::block(index).is_some_and(|entry| entry.state == BlockState::Free as u8)
    };
    let block = (0..tables::block_count())
        .rev()
        .find(free)
        .ok_or("no free block")?;
    let first = block * BLOCK_FRAMES;
    let shown = window::address_of(first);
    let frame = expect_done("a frame", gate::frame_allocate(first, 1, 0))?;
    let place = entry_address(shown);
    let entry = probe::read(place).map(|word| PageEntry(word).frame());
    expect_equal("the frame's entry", entry, Ok(first))?;
    expect_error(
        "another's window",
        gate::frame_allocate(first, 1, 0),
        Error::Taken,
    )?;
    expect_done("freeing it", gate::capability_free(frame))?;
    let whole = expect_done("the block", gate::frame_allocate(first, 1, BLOCK_ORDER))?;
    // Now the directory's entry is a large page, and what was read as a page table is the block's first page.
    expect_equal("a word of the block", probe::read(place), Ok(0))?;
    let written = probe::write(shown + (place & (PAGE_SIZE - 1)), 0x5eed);
    expect_equal("writing the block", written, Ok(()))?;
    expect_equal("the same word", probe::read(place), Ok(0x5eed))?;
    expect_done("freeing the block", gate::capability_free(whole))?;
    expect_page_fault(
        "a page table that is gone",
        probe::read(place),
        NOT_PRESENT_READ,
        place,
    )?;
    expect_equal("the block", (shown - FRAME_WINDOW) / BLOCK_SIZE, block)
}
