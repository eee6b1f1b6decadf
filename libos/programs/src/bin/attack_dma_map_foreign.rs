//! Asks for DMA rights to memory that is not its own.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_error};
use exo_programs::victim::Victim;
use exo_rt::abi::address::PAGE_SHIFT;
use exo_rt::abi::{Error, Kind, Rights};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready();
    let own = environment::grant_capability();
    let end = environment::grant_first() + environment::grant_frames();
    let function = environment::functions().next().expect("a function");
    let device = function.entry.record.registers >> PAGE_SHIFT;
    let last = gate::dma_map(own, end - 1, 1, Rights::READ);
    expect_error("without a bound function", last, Error::BadState)?;
    expect_done("function_bind", gate::function_bind(function.capability))?;
    expect_done("own memory", gate::dma_map(own, end - 1, 1, Rights::READ))?;
    let again = gate::dma_map(own, end - 2, 2, Rights::READ_WRITE);
    expect_error("own memory again", again, Error::BadState)?;
    for (first, count) in [
        (victim.frame, 1),
        (0, 1),
        (device, 1),
        (tables::frame_count(), 1),
        (end - 1, 2),
        (environment::grant_first() - 1, 2),
        (u64::MAX, 2),
        (environment::grant_first(), u64::MAX),
    ] {
        expect_error(
            "dma_map",
            gate::dma_map(own, first, count, Rights::READ_WRITE),
            Error::OutOfRange,
        )?;
    }
    expect_error(
        "no frame",
        gate::dma_map(own, end - 1, 0, Rights::READ),
        Error::BadCount,
    )?;
    let stolen = victim
        .capability(Kind::Blocks)
        .expect("the victim has memory");
    let answer = gate::dma_map(stolen, victim.frame, 1, Rights::READ);
    expect_error("by the victim's capability", answer, Error::BadCapability)
}
