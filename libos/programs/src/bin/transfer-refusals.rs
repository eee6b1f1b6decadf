//! Transfers to those who are busy, elsewhere, gone, and who end or revoke in the middle: each is refused with its reason.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_programs::entries::{await_end, await_entry, held};
use exo_programs::sharing::environment_named;
use exo_rt::abi::environment::State;
use exo_rt::abi::{Capability, Error};
use exo_rt::transfer::Message;
use exo_rt::{environment, gate, println, tables, wait};

exo_rt::program!(main);

fn main() -> Verdict {
    expect_refusal("busy", Error::Unwilling)?;
    expect_refusal("elsewhere", Error::OtherVcpu)?;
    let (entry, id) = meet("gone")?;
    await_waiting("gone");
    let mut message = Message::from_seed(6);
    expect_done("the last transfer", gate::transfer(entry, &mut message))?;
    await_end(id);
    expect_unchanged("who has gone", entry, Error::BadCapability)?;
    for name in ["exits", "faults"] {
        let (entry, id) = meet(name)?;
        await_waiting(name);
        let mut message = Message::from_seed(7);
        let answer = gate::transfer(entry, &mut message);
        expect_error(&format!("who {name} in the middle"), answer, Error::Ended)?;
        expect_equal("what came back", message, Message::EMPTY)?;
        await_end(id);
        expect_unchanged("who has ended", entry, Error::BadCapability)?;
    }
    // It is willing to be entered when it has taken the capability back that was used last.
    let (entry, id) = meet("revokes")?;
    await_waiting("revokes");
    expect_done("accepting", gate::capability_accept(u64::from(id.0)))?;
    let mut message = Message::from_seed(8);
    expect_done(
        "a transfer that is revoked",
        gate::transfer(entry, &mut message),
    )?;
    expect_unchanged("a revoked entry", entry, Error::BadCapability)?;
    expect_unchanged("no capability", Capability::NONE, Error::BadCapability)?;
    let entry = held(environment::id(), id).ok_or("there is no other capability")?;
    expect_done("a transfer by another", gate::transfer(entry, &mut message))?;
    let (entry, _) = meet("chain")?;
    await_waiting("chain");
    let mut message = Message::from_seed(9);
    expect_done("a transfer", gate::transfer(entry, &mut message))?;
    expect_equal(
        "its transfer to itself",
        message.seed(),
        Error::Unwilling as u64,
    )?;
    println!("transfer-refusals: each for its reason");
    Ok(())
}

fn meet(name: &str) -> Result<(Capability, exo_rt::abi::EnvironmentId), alloc::string::String> {
    let id = environment_named(name);
    Ok((expect_done(name, await_entry(id))?, id))
}

/// Yields until it sleeps.
fn await_waiting(name: &str) {
    let id = environment_named(name);
    while tables::environment(id).is_some_and(|entry| entry.state != State::Waiting as u32) {
        wait::yield_now();
    }
}

fn expect_refusal(name: &str, error: Error) -> Verdict {
    let (entry, _) = meet(name)?;
    expect_unchanged(name, entry, error)
}

/// A refused transfer leaves all registers as they were, by the first path and by the second.
fn expect_unchanged(what: &str, entry: Capability, error: Error) -> Verdict {
    for seed in [1, 2] {
        let mut message = Message::from_seed(seed);
        let answer = gate::transfer(entry, &mut message);
        expect_error(what, answer, error)?;
        expect_equal("registers", message, Message::from_seed(seed))?;
        let answer = gate::transfer_asynchronous(entry, &mut message);
        expect_error(what, answer, error)?;
        expect_equal("registers", message, Message::from_seed(seed))?;
    }
    Ok(())
}
