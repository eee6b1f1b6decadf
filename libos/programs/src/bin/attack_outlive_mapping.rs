//! Keeps reading what was shared with it when the owner has ended: `attack-outlive-mapping owner|attacker`.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{
    NOT_PRESENT_READ, PLAYGROUND, expect_bad_capability, expect_done, expect_equal,
    expect_page_fault,
};
use exo_programs::sharing::{await_capability, await_stale, environment_named, give_when_willing};
use exo_programs::victim::Victim;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{EnvironmentId, Rights};
use exo_rt::wait::Spinner;
use exo_rt::{environment, gate, probe, tables, wait, window};

exo_rt::program!(main);

const OWNER: &str = "owner";
const ATTACKER: &str = "attacker";
/// What the owner leaves in the frame.
const LEFT: u64 = 0x1ef7;

fn main() -> Verdict {
    Victim::await_ready();
    match environment::arguments().next().as_deref() {
        Some("owner") => own(),
        _ => attack(),
    }
}

/// Ends with the frame mapped by another.
fn own() -> Verdict {
    let root = expect_done("allocating", gate::frame_allocate(ANY_FRAME, 1, 0))?;
    let frame = tables::capability(root.slot()).map_or(0, |entry| entry.first);
    let written = probe::write(window::address_of(frame), LEFT);
    expect_equal("writing", written, Ok(()))?;
    let child = gate::capability_derive(root, frame, 1, Rights::READ);
    let child = expect_done("deriving", child)?;
    expect_done(
        "giving",
        give_when_willing(child, environment_named(ATTACKER)),
    )?;
    while tables::frame(frame).is_none_or(|entry| entry.mappings == 0) {
        wait::yield_now();
    }
    Ok(())
}

fn attack() -> Verdict {
    let got = expect_done("getting", await_capability(environment_named(OWNER)))?;
    let frame = tables::capability(got.slot()).map_or(0, |entry| entry.first);
    let entry = MapEntry {
        address: PLAYGROUND,
        frame,
        pages: 1,
        rights: Rights::READ.0,
        capability: got.0,
    };
    expect_done("mapping", gate::page_map(&[entry]))?;
    let mut spinner = Spinner::new();
    let record = loop {
        match probe::read(PLAYGROUND) {
            Ok(word) => expect_equal("the shared word", word, LEFT)?,
            Err(record) => break record,
        }
        spinner.relax();
    };
    expect_page_fault::<()>("what is gone", Err(record), NOT_PRESENT_READ, PLAYGROUND)?;
    await_stale(got);
    expect_bad_capability(got, frame)?;
    while tables::frame_owner(frame) != Some(EnvironmentId::NOBODY) {
        wait::yield_now();
    }
    let own = expect_done("taking it", gate::frame_allocate(frame, 1, 0))?;
    let word = probe::read(window::address_of(frame));
    expect_equal("what the owner left", word, Ok(0))?;
    expect_done("freeing", gate::capability_free(own))
}
