//! Asks for rights without a meaning.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_done, expect_error, expect_map_error};
use exo_programs::victim::Victim;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Rights};
use exo_rt::{environment, gate};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    expect_done("mapping", gate::page_map(&[allowed_mapping()]))?;
    for rights in [8, 0x4000_0000, u32::MAX >> 1] {
        let entry = MapEntry {
            rights,
            ..allowed_mapping()
        };
        expect_map_error("page_map", entry, Error::BadArgument)?;
        expect_error(
            "page_protect",
            gate::page_protect(&[entry]),
            Error::BadArgument,
        )?;
    }
    let capability = environment::grant_capability();
    for rights in [
        Rights::NONE,
        Rights::EXECUTE,
        Rights::MAPPING,
        Rights(8),
        Rights(u32::MAX),
    ] {
        let answer = gate::dma_map(capability, environment::grant_first(), 1, rights);
        expect_error("dma_map", answer, Error::BadArgument)?;
    }
    Ok(())
}
