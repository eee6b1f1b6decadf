//! Maps frames of the kernel: its text, its tables, the pages it keeps for environments.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_equal, expect_error, expect_map_error};
use exo_programs::victim::Victim;
use exo_rt::abi::address::PAGE_SHIFT;
use exo_rt::abi::environment::EnvironmentId;
use exo_rt::abi::layout::{KERNEL_DATA, KERNEL_TEXT};
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Rights};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let kernels = (0..tables::frame_count())
        .take_while(|&frame| tables::frame_owner(frame) == Some(EnvironmentId::KERNEL));
    let last = kernels.last().expect("the kernel owns the first frames");
    for frame in [
        0,
        KERNEL_TEXT >> PAGE_SHIFT,
        KERNEL_DATA >> PAGE_SHIFT,
        last,
    ] {
        expect_equal(
            "the owner",
            tables::frame_owner(frame),
            Some(EnvironmentId::KERNEL),
        )?;
        expect_map_error(
            "mapping",
            MapEntry {
                frame,
                ..allowed_mapping()
            },
            Error::OutOfRange,
        )?;
        let executable = MapEntry {
            frame,
            rights: Rights::READ_EXECUTE.0,
            ..allowed_mapping()
        };
        expect_map_error("mapping to execute", executable, Error::OutOfRange)?;
        expect_error(
            "allocating",
            gate::frame_allocate(frame, 1, 0),
            Error::Taken,
        )?;
        let capability = environment::grant_capability();
        expect_error(
            "for DMA",
            gate::dma_map(capability, frame, 1, Rights::READ),
            Error::OutOfRange,
        )?;
    }
    Ok(())
}
