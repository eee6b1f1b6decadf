//! Binds, maps and interrupts by another environment's function: its capability, its pages.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_done, expect_error, expect_map_error};
use exo_programs::victim::Victim;
use exo_rt::abi::address::PAGE_SHIFT;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Kind};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready();
    let stolen = victim
        .capability(Kind::Function)
        .expect("the victim has a function");
    expect_error(
        "binding it",
        gate::function_bind(stolen),
        Error::BadCapability,
    )?;
    expect_error(
        "its vector",
        gate::vector_bind(stolen, 0),
        Error::BadCapability,
    )?;
    expect_error(
        "freeing it",
        gate::capability_free(stolen),
        Error::BadCapability,
    )?;
    let index = tables::capability(stolen.slot())
        .expect("the slot is there")
        .first;
    let foreign = tables::function(index)
        .expect("the function is there")
        .record;
    let own = environment::functions().next().expect("an own function");
    expect_done("binding the own", gate::function_bind(own.capability))?;
    for page in [
        foreign.registers,
        foreign.doorbells,
        foreign.msix,
        foreign.configuration,
    ] {
        let frame = page >> PAGE_SHIFT;
        for (what, capability, error) in [
            ("by the own function", own.capability, Error::OutOfRange),
            (
                "by the own memory",
                environment::grant_capability(),
                Error::OutOfRange,
            ),
            ("by the victim's capability", stolen, Error::BadCapability),
        ] {
            expect_map_error(
                what,
                MapEntry {
                    frame,
                    capability: capability.0,
                    ..allowed_mapping()
                },
                error,
            )?;
        }
    }
    Ok(())
}
