//! Keeps a predicate over a frame that it has given back: to read what the next owner writes there.
#![no_std]
#![no_main]

extern crate alloc;

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_programs::victim::Victim;
use exo_rt::abi::address::PAGE_SHIFT;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::term::Comparison;
use exo_rt::abi::{Capability, Error, Rights};
use exo_rt::{environment, gate, predicate, tables};

exo_rt::program!(main);

/// What no frame holds: a predicate that waits for it sleeps for ever, if it is read.
const NEVER: u64 = 0x6e65_7665_7221;

/// A predicate over a word that the capability no longer lets this environment read holds, whatever the word is; asked again, it does still.
fn expect_void(what: &str) -> Verdict {
    for _ in 0..3 {
        expect_equal(what, gate::environment_sleep(), Ok(true))?;
    }
    Ok(())
}

fn bind(capability: Capability, frame: u64) -> Verdict {
    let term = predicate::word(capability, frame << PAGE_SHIFT, Comparison::Equal, NEVER);
    expect_done("binding", gate::predicate_bind(&[term])).map(drop)
}

fn main() -> Verdict {
    Victim::await_ready();
    let first = expect_done("allocating", gate::frame_allocate(ANY_FRAME, 1, 0))?;
    let entry = tables::capability(first.slot()).expect("the slot is there");
    bind(first, entry.first)?;
    expect_done("freeing", gate::capability_free(first))?;
    expect_void("a predicate over a frame that is free")?;
    // The same frame, and the same slot: only the generation differs.
    let again = expect_done("allocating", gate::frame_allocate(entry.first, 1, 0))?;
    expect_equal("the slot", again.slot(), first.slot())?;
    expect_void("a predicate by a capability of the last use")?;
    let term = predicate::word(first, entry.first << PAGE_SHIFT, Comparison::Equal, 0);
    let answer = gate::predicate_bind(&[term]);
    expect_error(
        "binding by a stale capability",
        answer,
        Error::BadCapability,
    )?;

    let grant = environment::grant_capability();
    let frame = environment::grant_first();
    let derived = gate::capability_derive(grant, frame, 1, Rights::READ);
    let derived = expect_done("deriving", derived)?;
    bind(derived, frame)?;
    expect_done("revoking", gate::capability_revoke(grant))?;
    expect_void("a predicate by a capability that was revoked")
}
