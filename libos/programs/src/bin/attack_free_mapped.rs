//! Frees memory that is still mapped, or still in its DMA domain.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_done, expect_error};
use exo_programs::victim::Victim;
use exo_rt::abi::address::BLOCK_ORDER;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Rights};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let function = environment::functions().next().expect("a function");
    expect_done("function_bind", gate::function_bind(function.capability))?;
    for order in [0, BLOCK_ORDER] {
        let capability = expect_done("allocating", gate::frame_allocate(ANY_FRAME, 1, order))?;
        let frame = tables::capability(capability.slot())
            .expect("the slot is there")
            .first;
        let entry = MapEntry {
            frame,
            capability: capability.0,
            ..allowed_mapping()
        };
        expect_done("mapping", gate::page_map(&[entry]))?;
        expect_error(
            "freeing what is mapped",
            gate::capability_free(capability),
            Error::InUse,
        )?;
        let dma = expect_done("dma_map", gate::dma_map(capability, frame, 1, Rights::READ))?;
        expect_done("unmapping", gate::page_unmap(&[entry]))?;
        expect_error(
            "freeing what devices reach",
            gate::capability_free(capability),
            Error::InUse,
        )?;
        expect_done("ending that", gate::capability_free(dma))?;
        expect_done("freeing", gate::capability_free(capability))?;
    }
    Ok(())
}
