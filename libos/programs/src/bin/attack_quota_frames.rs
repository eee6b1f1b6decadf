//! Allocates frames until the quota says no; nobody else has fewer for it.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error, free_all};
use exo_programs::victim::Victim;
use exo_rt::abi::Error;
use exo_rt::abi::address::{BLOCK_FRAMES, BLOCK_ORDER};
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::{gate, tables};

exo_rt::program!(main);

fn left() -> u64 {
    let own = tables::own_environment();
    u64::from(own.frames_quota - own.frames)
}

fn main() -> Verdict {
    Victim::await_ready();
    let quota = left();
    let mut held = Vec::new();
    while left() >= BLOCK_FRAMES {
        held.push(expect_done(
            "allocating",
            gate::frame_allocate(ANY_FRAME, 1, BLOCK_ORDER),
        )?);
    }
    expect_error(
        "one too many",
        gate::frame_allocate(ANY_FRAME, left() + 1, 0),
        Error::Quota,
    )?;
    expect_error(
        "a block too many",
        gate::frame_allocate(ANY_FRAME, 1, BLOCK_ORDER),
        Error::Quota,
    )?;
    while left() > 0 {
        let count = left().min(64);
        held.push(expect_done(
            "allocating",
            gate::frame_allocate(ANY_FRAME, count, 0),
        )?);
    }
    expect_error(
        "beyond the quota",
        gate::frame_allocate(ANY_FRAME, 1, 0),
        Error::Quota,
    )?;
    free_all(held)?;
    expect_equal("what is left afterwards", left(), quota)
}
