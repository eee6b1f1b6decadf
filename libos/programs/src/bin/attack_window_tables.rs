//! Takes a block by turns frame by frame and whole, so that the frame window shows it by a page table and by a large page.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{NOT_PRESENT_READ, expect_done, expect_equal, expect_page_fault};
use exo_programs::victim::Victim;
use exo_rt::abi::address::{BLOCK_FRAMES, BLOCK_ORDER, PAGE_SIZE};
use exo_rt::abi::frame::BlockState;
use exo_rt::{environment, gate, probe, tables, window};

exo_rt::program!(main);

fn own_tables() -> (u32, u32) {
    let own = tables::environment(environment::id()).expect("an own entry");
    (own.tables, own.tables_quota)
}

fn main() -> Verdict {
    Victim::await_ready();
    let free = |&index: &u64| {
        tables::block(index).is_some_and(|entry| entry.state == BlockState::Free as u8)
    };
    let block = (0..tables::block_count())
        .rev()
        .find(free)
        .expect("a free block");
    let first = block * BLOCK_FRAMES;
    let (before, quota) = own_tables();
    let pool = tables::summary().free_tables;
    for _ in 0..=quota {
        let frame = expect_done("a frame", gate::frame_allocate(first, 1, 0))?;
        expect_done("freeing it", gate::capability_free(frame))?;
        // The CPU may now remember that a page table shows this block.
        let address = window::address_of(first);
        let touched = probe::read(address);
        expect_page_fault("a freed frame", touched, NOT_PRESENT_READ, address)?;
        let whole = expect_done("the block", gate::frame_allocate(first, 1, BLOCK_ORDER))?;
        for page in [0, 1, BLOCK_FRAMES - 1] {
            let word = probe::read(address + page * PAGE_SIZE);
            expect_equal("a word of the block", word.ok(), Some(0))?;
        }
        expect_done("freeing the block", gate::capability_free(whole))?;
    }
    expect_equal("page tables in use", own_tables().0, before)?;
    expect_equal("page tables left", tables::summary().free_tables, pool)
}
