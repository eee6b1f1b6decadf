//! Uses the very words that other environments hold: the exported table shows them to everybody.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_error, expect_map_error};
use exo_programs::victim::{Victim, capabilities_of_others};
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Rights};
use exo_rt::{gate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let mut tried = 0;
    for (_, capability, _) in capabilities_of_others() {
        let entry = tables::capability(capability.slot()).expect("the slot is there");
        let map = MapEntry {
            capability: capability.0,
            frame: entry.first,
            ..allowed_mapping()
        };
        expect_map_error("page_map", map, Error::BadCapability)?;
        let dma = gate::dma_map(capability, entry.first, 1, Rights::READ_WRITE);
        expect_error("dma_map", dma, Error::BadCapability)?;
        expect_error(
            "function_bind",
            gate::function_bind(capability),
            Error::BadCapability,
        )?;
        expect_error(
            "vector_bind",
            gate::vector_bind(capability, 0),
            Error::BadCapability,
        )?;
        expect_error(
            "capability_free",
            gate::capability_free(capability),
            Error::BadCapability,
        )?;
        tried += 1;
    }
    assert!(
        tried >= 3,
        "the victim holds its grant, its program and a console"
    );
    Ok(())
}
