//! Looks for what another environment left in a frame: frees a frame with a secret and allocates it again.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{PLAYGROUND, allowed_mapping, expect_done, expect_equal};
use exo_programs::victim::Victim;
use exo_rt::abi::address::PAGE_SIZE;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::map::MapEntry;
use exo_rt::{gate, probe, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let mut name = ANY_FRAME;
    for _ in 0..3 {
        let capability = expect_done("allocating", gate::frame_allocate(name, 1, 0))?;
        name = tables::capability(capability.slot())
            .expect("the slot is there")
            .first;
        let entry = MapEntry {
            frame: name,
            capability: capability.0,
            ..allowed_mapping()
        };
        expect_done("mapping", gate::page_map(&[entry]))?;
        for address in (PLAYGROUND..PLAYGROUND + PAGE_SIZE).step_by(8) {
            expect_equal("a word of a fresh frame", probe::read(address), Ok(0))?;
            expect_equal("writing", probe::write(address, !address), Ok(()))?;
        }
        expect_done("unmapping", gate::page_unmap(&[entry]))?;
        expect_done("freeing", gate::capability_free(capability))?;
    }
    Ok(())
}
