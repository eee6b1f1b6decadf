//! Uses a capability after it was freed, also when its slot serves again.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_bad_capability, expect_done, expect_equal};
use exo_programs::victim::Victim;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::map::MapEntry;
use exo_rt::{gate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let stale = expect_done("allocating", gate::frame_allocate(ANY_FRAME, 1, 0))?;
    let frame = tables::capability(stale.slot())
        .expect("the slot is there")
        .first;
    expect_done("freeing", gate::capability_free(stale))?;
    expect_bad_capability(stale, frame)?;
    let again = expect_done("allocating again", gate::frame_allocate(frame, 1, 0))?;
    expect_equal("the slot", again.slot(), stale.slot())?;
    expect_bad_capability(stale, frame)?;
    let entry = MapEntry {
        capability: again.0,
        frame,
        ..allowed_mapping()
    };
    expect_done("mapping by the new one", gate::page_map(&[entry])).map(drop)
}
