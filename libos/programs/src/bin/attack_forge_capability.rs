//! Uses words that never were capabilities, in every call that takes one.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_error, expect_map_error};
use exo_programs::victim::Victim;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Capability, Error, Rights};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let own = environment::grant_capability();
    let slots = tables::capability_slots() as u32;
    let forged = [
        Capability::NONE,
        Capability(u64::MAX),
        Capability(own.0 | 1 << 63),
        Capability::new(own.slot(), 0),
        Capability::new(own.slot(), own.generation() + 1),
        Capability::new(slots, 1),
        Capability::new(slots - 1, 1),
        Capability::new(u32::MAX, own.generation()),
    ];
    for capability in forged {
        let entry = MapEntry {
            capability: capability.0,
            ..allowed_mapping()
        };
        expect_map_error("page_map", entry, Error::BadCapability)?;
        expect_error(
            "capability_free",
            gate::capability_free(capability),
            Error::BadCapability,
        )?;
        let first = environment::grant_first();
        expect_error(
            "dma_map",
            gate::dma_map(capability, first, 1, Rights::READ),
            Error::BadCapability,
        )?;
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
    }
    Ok(())
}
