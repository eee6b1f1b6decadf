//! Takes DMA rights until the quota says no.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error, free_all, take_all};
use exo_programs::victim::Victim;
use exo_rt::abi::{Error, Rights};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn left() -> u32 {
    let own = tables::own_environment();
    own.dma_mappings_quota - own.dma_mappings
}

fn main() -> Verdict {
    Victim::await_ready();
    let function = environment::functions().next().expect("a function");
    expect_done("function_bind", gate::function_bind(function.capability))?;
    let quota = left();
    let map = |index: u32| {
        let first = environment::grant_first() + u64::from(index);
        gate::dma_map(environment::grant_capability(), first, 1, Rights::READ)
    };
    let held = take_all(quota, map)?;
    expect_error("one more", map(quota), Error::Quota)?;
    free_all(held)?;
    expect_equal("what is left afterwards", left(), quota)
}
