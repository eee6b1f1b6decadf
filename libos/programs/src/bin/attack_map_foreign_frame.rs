//! Maps a frame that another environment owns.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{
    NOT_PRESENT_READ, NOT_PRESENT_WRITE, PLAYGROUND, allowed_mapping, expect_map_error,
    expect_page_fault,
};
use exo_programs::victim::Victim;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Kind};
use exo_rt::{probe, window};

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready();
    let own = MapEntry {
        frame: victim.frame,
        ..allowed_mapping()
    };
    expect_map_error("by the own capability", own, Error::OutOfRange)?;
    for kind in [Kind::Blocks, Kind::Frames] {
        let capability = victim
            .capability(kind)
            .expect("the victim has memory of both kinds");
        let stolen = MapEntry {
            capability: capability.0,
            ..own
        };
        expect_map_error("by the victim's capability", stolen, Error::BadCapability)?;
    }
    // Nothing was mapped, and the own frame window does not show it either.
    expect_page_fault(
        "the page",
        probe::read(PLAYGROUND),
        NOT_PRESENT_READ,
        PLAYGROUND,
    )?;
    let shown = window::address_of(victim.frame);
    expect_page_fault(
        "reading the window",
        probe::read(shown),
        NOT_PRESENT_READ,
        shown,
    )?;
    expect_page_fault(
        "writing the window",
        probe::write(shown, 1),
        NOT_PRESENT_WRITE,
        shown,
    )
}
