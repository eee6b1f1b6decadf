//! Asks for frames by numbers that make no sense.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_programs::victim::Victim;
use exo_rt::abi::Error;
use exo_rt::abi::address::{BLOCK_FRAMES, BLOCK_ORDER, COLOURS_MAX};
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::{gate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let end = tables::frame_count();
    for order in [1, BLOCK_ORDER - 1, BLOCK_ORDER + 1, 64, u32::MAX] {
        expect_error(
            "an order",
            gate::frame_allocate(ANY_FRAME, 1, order),
            Error::BadArgument,
        )?;
    }
    for (colours, colour) in [(0, 1), (3, 0), (4, 4), (COLOURS_MAX * 2, 0), (1 << 31, 1)] {
        expect_error(
            "a colour",
            gate::frame_allocate_coloured(1, colours, colour),
            Error::BadArgument,
        )?;
    }
    for (count, colours, colour) in [(1, 16, 3), (5, COLOURS_MAX, COLOURS_MAX - 5), (1, 1, 0)] {
        let coloured = gate::frame_allocate_coloured(count, colours, colour);
        let coloured = expect_done("frames of a colour", coloured)?;
        let first = tables::capability(coloured.slot()).map(|entry| entry.first % colours);
        expect_equal("their colour", first, Some(colour))?;
        expect_done("freeing them", gate::capability_free(coloured))?;
    }
    for count in [0, BLOCK_FRAMES + 1, 1 << 32, u64::MAX] {
        expect_error(
            "a count of frames",
            gate::frame_allocate(ANY_FRAME, count, 0),
            Error::BadCount,
        )?;
    }
    for count in [0, 1 << 55, u64::MAX] {
        expect_error(
            "a count of blocks",
            gate::frame_allocate(ANY_FRAME, count, BLOCK_ORDER),
            Error::BadCount,
        )?;
    }
    expect_error(
        "half a block",
        gate::frame_allocate(1, 1, BLOCK_ORDER),
        Error::BadAddress,
    )?;
    for first in [end, end + 1, 1 << 52, u64::MAX - 1] {
        expect_error(
            "beyond memory",
            gate::frame_allocate(first, 1, 0),
            Error::OutOfRange,
        )?;
    }
    expect_error(
        "across the end",
        gate::frame_allocate(end - 1, 2, 0),
        Error::OutOfRange,
    )
}
