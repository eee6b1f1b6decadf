//! Takes more of the own function than is due: before it is bound, twice, its MSI-X and configuration space.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{
    allowed_mapping, expect_done, expect_equal, expect_error, expect_map_error,
};
use exo_programs::victim::Victim;
use exo_rt::abi::address::PAGE_SHIFT;
use exo_rt::abi::function::REGISTER_PAGES;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Rights};
use exo_rt::{environment, gate};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let own = environment::functions().next().expect("an own function");
    let record = own.entry.record;
    let at = |physical: u64, pages: u32| MapEntry {
        frame: physical >> PAGE_SHIFT,
        pages,
        capability: own.capability.0,
        ..allowed_mapping()
    };
    let registers = at(record.registers, REGISTER_PAGES as u32);
    expect_map_error("before it is bound", registers, Error::BadState)?;
    expect_error(
        "a vector before",
        gate::vector_bind(own.capability, 0),
        Error::BadState,
    )?;
    expect_done("binding", gate::function_bind(own.capability))?;
    expect_error(
        "binding twice",
        gate::function_bind(own.capability),
        Error::BadState,
    )?;
    for entry in [
        at(record.registers, REGISTER_PAGES as u32 + 1),
        at(record.doorbells, record.queues + 1),
        at(record.msix, 1),
        at(record.configuration, 1),
    ] {
        expect_map_error("beyond", entry, Error::OutOfRange)?;
    }
    let executable = MapEntry {
        rights: Rights::READ_EXECUTE.0,
        ..registers
    };
    expect_map_error("to execute", executable, Error::NotPermitted)?;
    for index in [record.vectors, 1 << 16, u32::MAX] {
        expect_error(
            "a vector",
            gate::vector_bind(own.capability, index),
            Error::BadArgument,
        )?;
    }
    let event = expect_done("vector 0", gate::vector_bind(own.capability, 0))?;
    expect_equal("the event index", event, 0)?;
    expect_error(
        "vector 0 twice",
        gate::vector_bind(own.capability, 0),
        Error::BadState,
    )?;
    expect_done("mapping", gate::page_map(&[registers]))?;
    expect_error(
        "freeing what is mapped",
        gate::capability_free(own.capability),
        Error::InUse,
    )
}
