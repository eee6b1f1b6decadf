//! Takes capabilities until the quota says no.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_programs::victim::Victim;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::{Error, Rights};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn left() -> u32 {
    let own = tables::environment(environment::id()).expect("an own entry");
    own.capabilities_quota - own.capabilities
}

fn main() -> Verdict {
    Victim::await_ready();
    let quota = left();
    let mut held = Vec::new();
    for _ in 0..quota {
        held.push(expect_done(
            "allocating",
            gate::frame_allocate(ANY_FRAME, 1, 0),
        )?);
    }
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
    for capability in held {
        expect_done("freeing", gate::capability_free(capability))?;
    }
    expect_equal("what is left afterwards", left(), quota)
}
