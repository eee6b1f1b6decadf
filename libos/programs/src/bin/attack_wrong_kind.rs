//! Uses capabilities of one kind where another is due.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_done, expect_error, expect_map_error};
use exo_programs::victim::Victim;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Kind, Rights};
use exo_rt::{environment, gate};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let (ports, _) = environment::capabilities_of(Kind::Ports)
        .next()
        .expect("a console");
    let (function, _) = environment::capabilities_of(Kind::Function)
        .next()
        .expect("a function");
    expect_done("function_bind", gate::function_bind(function))?;
    let grant = environment::grant_capability();
    let first = environment::grant_first();
    let dma = expect_done("dma_map", gate::dma_map(grant, first, 1, Rights::READ))?;
    for capability in [ports, dma] {
        let entry = MapEntry {
            capability: capability.0,
            ..allowed_mapping()
        };
        expect_map_error("page_map", entry, Error::WrongKind)?;
    }
    for capability in [ports, function, dma] {
        let again = gate::dma_map(capability, first, 1, Rights::READ);
        expect_error("dma_map", again, Error::WrongKind)?;
    }
    for capability in [ports, grant, dma] {
        expect_error(
            "function_bind",
            gate::function_bind(capability),
            Error::WrongKind,
        )?;
        expect_error(
            "vector_bind",
            gate::vector_bind(capability, 0),
            Error::WrongKind,
        )?;
    }
    Ok(())
}
