//! Writes a frame that it was given for reading: `attack-write-shared owner|attacker`. Beside it lies one that it may write, by which
//! the two keep in step.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{
    PLAYGROUND, PROTECTED_WRITE, expect_done, expect_equal, expect_error, expect_page_fault,
};
use exo_programs::sharing::{await_held, environment_named, give_when_willing};
use exo_programs::victim::Victim;
use exo_rt::abi::address::PAGE_SIZE;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Rights};
use exo_rt::{environment, gate, probe, tables, wait, window};

exo_rt::program!(main);

const OWNER: &str = "owner";
const ATTACKER: &str = "attacker";
/// What the owner writes, before and after the attacker has mapped the frame.
const FIRST: u64 = 0x1111;
const SECOND: u64 = 0x2222;
/// What the attacker writes into the other frame when it is done; the owner then writes `FIRST` again.
const DONE: u64 = 0x3333;
/// Where the attacker sees the frame, the other, and the other again.
const SHARED: u64 = PLAYGROUND;
const OTHER: u64 = PLAYGROUND + PAGE_SIZE;
const AGAIN: u64 = PLAYGROUND + 2 * PAGE_SIZE;

fn main() -> Verdict {
    Victim::await_ready();
    match environment::arguments().next().as_deref() {
        Some("owner") => own(),
        _ => attack(),
    }
}

/// Waits until the word at `address` is `value`.
fn await_word(address: u64, value: u64) {
    while probe::read(address) != Ok(value) {
        wait::yield_now();
    }
}

fn own() -> Verdict {
    let attacker = environment_named(ATTACKER);
    let root = expect_done("allocating", gate::frame_allocate(ANY_FRAME, 2, 0))?;
    let frame = tables::capability(root.slot()).map_or(0, |entry| entry.first);
    let (shared, other) = (window::address_of(frame), window::address_of(frame + 1));
    expect_equal("writing", probe::write(shared, FIRST), Ok(()))?;
    for (frame, rights) in [
        (frame, Rights::READ.union(Rights::DERIVE)),
        (frame + 1, Rights::READ_WRITE),
    ] {
        let child = expect_done("deriving", gate::capability_derive(root, frame, 1, rights))?;
        expect_done("giving", give_when_willing(child, attacker))?;
    }
    // The reference counts in the table say when it has mapped them, and how often.
    let mappings =
        || [frame, frame + 1].map(|frame| tables::frame(frame).map(|entry| entry.mappings));
    while mappings() != [Some(1), Some(2)] {
        wait::yield_now();
    }
    expect_equal("writing", probe::write(shared, SECOND), Ok(()))?;
    await_word(other, DONE);
    expect_equal("the shared word", probe::read(shared), Ok(SECOND))?;
    expect_error(
        "freeing what is shared",
        gate::capability_free(root),
        Error::InUse,
    )?;
    expect_equal("writing", probe::write(shared, FIRST), Ok(()))?;
    while tables::capability(root.slot()).is_some_and(|entry| entry.first_child != 0) {
        wait::yield_now();
    }
    expect_equal("mappings", mappings(), [Some(0), Some(0)])?;
    expect_done("freeing", gate::capability_free(root))
}

fn attack() -> Verdict {
    let own = environment::id();
    let owner = environment_named(OWNER);
    expect_done("accepting", gate::capability_accept(u64::from(owner.0)))?;
    let held = |write| {
        await_held(own, move |entry| {
            entry.depth != 0 && (u32::from(entry.rights) & Rights::WRITE.0 != 0) == write
        })
    };
    let (shared, other) = (held(false), held(true));
    let frame = tables::capability(shared.slot()).map_or(0, |entry| entry.first);
    let entry = |address, frame, rights: Rights, capability: exo_rt::abi::Capability| MapEntry {
        address,
        frame,
        pages: 1,
        rights: rights.0,
        capability: capability.0,
    };
    let reading = entry(SHARED, frame, Rights::READ, shared);
    expect_done("mapping to read", gate::page_map(&[reading]))?;
    let writing = [OTHER, AGAIN].map(|at| entry(at, frame + 1, Rights::READ_WRITE, other));
    expect_done("mapping to write", gate::page_map(&writing))?;
    await_word(SHARED, SECOND);
    expect_equal("writing", probe::write(OTHER, FIRST), Ok(()))?;
    expect_equal("the same frame", probe::read(AGAIN), Ok(FIRST))?;

    let written = probe::write(SHARED, 0);
    expect_page_fault("writing what is shared", written, PROTECTED_WRITE, SHARED)?;
    let write = Rights::READ_WRITE;
    let grant = environment::grant_capability();
    let above = AGAIN + PAGE_SIZE;
    for (capability, frame, error) in [
        (shared, frame, Error::NotPermitted),
        (other, frame, Error::OutOfRange),
        (grant, frame, Error::OutOfRange),
    ] {
        let answer = gate::page_map(&[entry(above, frame, write, capability)]);
        expect_error("mapping it to write", answer, error)?;
        let answer = gate::page_protect(&[entry(SHARED, frame, write, capability)]);
        expect_error("making it writable", answer, error)?;
    }
    let derived = gate::capability_derive(shared, frame, 1, write);
    expect_error("deriving to write", derived, Error::NotPermitted)?;
    let dma = gate::dma_map(shared, frame, 1, Rights::WRITE);
    expect_error("letting a device write", dma, Error::NotPermitted)?;
    let given = gate::capability_give(shared, owner);
    expect_error("giving away what is mapped", given, Error::InUse)?;
    expect_error(
        "freeing what is mapped",
        gate::capability_free(shared),
        Error::InUse,
    )?;
    let written = probe::write(SHARED, 0);
    expect_page_fault(
        "writing it after all that",
        written,
        PROTECTED_WRITE,
        SHARED,
    )?;

    expect_equal("writing", probe::write(OTHER, DONE), Ok(()))?;
    await_word(SHARED, FIRST);
    let all = [reading, writing[0], writing[1]];
    expect_done("unmapping", gate::page_unmap(&all))?;
    for capability in [shared, other] {
        expect_done("freeing", gate::capability_free(capability))?;
    }
    Ok(())
}
