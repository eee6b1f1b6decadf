//! Allocates, by name, frames that have an owner.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::expect_error;
use exo_programs::victim::Victim;
use exo_rt::abi::Error;
use exo_rt::abi::address::{BLOCK_FRAMES, BLOCK_ORDER};
use exo_rt::{environment, gate};

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready();
    let block = victim.frame / BLOCK_FRAMES * BLOCK_FRAMES;
    expect_error(
        "the victim's frame",
        gate::frame_allocate(victim.frame, 1, 0),
        Error::Taken,
    )?;
    expect_error(
        "the victim's block",
        gate::frame_allocate(block, 1, BLOCK_ORDER),
        Error::Taken,
    )?;
    expect_error(
        "a run that ends in it",
        gate::frame_allocate(victim.frame - 8, 16, 0),
        Error::Taken,
    )?;
    expect_error(
        "an own frame",
        gate::frame_allocate(environment::grant_first(), 1, 0),
        Error::Taken,
    )
}
