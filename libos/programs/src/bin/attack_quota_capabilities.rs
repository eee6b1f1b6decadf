//! Takes capabilities until the quota says no.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_equal, expect_error, free_all, take_all};
use exo_programs::victim::Victim;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::{Error, Rights};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn left() -> u32 {
    let own = tables::own_environment();
    own.capabilities_quota - own.capabilities
}

fn main() -> Verdict {
    Victim::await_ready();
    let quota = left();
    let held = take_all(quota, |_| gate::frame_allocate(ANY_FRAME, 1, 0))?;
    expect_equal("what is left", left(), 0)?;
    expect_error(
        "a frame more",
        gate::frame_allocate(ANY_FRAME, 1, 0),
        Error::Quota,
    )?;
    let dma = gate::dma_map(
        environment::grant_capability(),
        environment::grant_first(),
        1,
        Rights::READ,
    );
    expect_error("a DMA right more", dma, Error::Quota)?;
    free_all(held)?;
    expect_equal("what is left afterwards", left(), quota)
}
