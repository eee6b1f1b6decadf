//! Transfers to and fro without an end, so that nobody else would have a turn, and then to one who keeps the slice and never replies.
#![no_std]
#![no_main]

extern crate alloc;

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_programs::entries::await_entry;
use exo_programs::sharing::environment_named;
use exo_rt::abi::{Capability, EnvironmentId, Error};
use exo_rt::transfer::Message;
use exo_rt::{gate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    let partner = meet("partner")?;
    let third = environment_named("third");
    let mut number = 0;
    while !has_ended(third) {
        number += 1;
        transfer(partner, number)?;
    }
    transfer(partner, 0)?;

    let keeper = meet("keeper")?;
    let mut message = Message::from_seed(1);
    // It keeps the slice until the fourth has had its turns, and then ends.
    loop {
        match gate::transfer(keeper, &mut message) {
            Err(Error::Unwilling) => {}
            answer => break expect_error("a transfer to the keeper", answer, Error::Ended)?,
        }
    }
    expect_equal(
        "the fourth has ended",
        has_ended(environment_named("fourth")),
        true,
    )
}

fn meet(name: &str) -> Result<Capability, alloc::string::String> {
    expect_done(name, await_entry(environment_named(name)))
}

fn has_ended(id: EnvironmentId) -> bool {
    tables::environment(id).is_none_or(|entry| tables::has_ended(&entry))
}

/// Without a yield, also while the partner does not wait yet: this is an attack.
fn transfer(partner: Capability, number: u64) -> Verdict {
    let mut message = Message::from_seed(number);
    loop {
        match gate::transfer(partner, &mut message) {
            Err(Error::Unwilling) => {}
            answer => {
                expect_done("a transfer", answer)?;
                return expect_equal("the reply", message, Message::from_seed(!number));
            }
        }
    }
}
