//! Maps frame numbers beyond the memory of the machine and beyond the own grant.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_map_error};
use exo_programs::victim::Victim;
use exo_rt::abi::Error;
use exo_rt::abi::map::MapEntry;
use exo_rt::{environment, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let end = environment::grant_first() + environment::grant_frames();
    let beyond = [
        end,
        tables::frame_count(),
        tables::frame_count() + 1,
        1 << 40,
        1 << 52,
        u64::MAX,
    ];
    for frame in beyond {
        expect_map_error(
            "beyond",
            MapEntry {
                frame,
                ..allowed_mapping()
            },
            Error::OutOfRange,
        )?;
    }
    for (frame, pages) in [
        (end - 1, 2),
        (environment::grant_first() - 1, 2),
        (u64::MAX, 2),
        (u64::MAX - 254, 512),
    ] {
        expect_map_error(
            "across an end",
            MapEntry {
                frame,
                pages,
                ..allowed_mapping()
            },
            Error::OutOfRange,
        )?;
    }
    Ok(())
}
