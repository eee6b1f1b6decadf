//! `sleep-turns COUNT`: takes turns with a partner so often, and sleeps on a predicate over the partner's word in between.
//!
//! Environments 1 and 2 are partners, 3 and 4, and so on. Each turn one writes its word and then says that it has; if a single
//! wake-up were lost, both would sleep for ever.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use exo_programs::shared_word::{NeighbourWord, SharedWord};
use exo_rt::abi::Error;
use exo_rt::abi::environment::EnvironmentId;
use exo_rt::abi::term::Comparison;
use exo_rt::{environment, gate, predicate};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let count = environment::arguments().next();
    let count = count.and_then(|count| count.parse().ok());
    let count: u64 = count.ok_or_else(|| String::from("the argument is a number of turns"))?;
    take_turns(count).map_err(|error| format!("{error}"))
}

fn take_turns(count: u64) -> Result<(), Error> {
    let own = environment::id();
    let is_first = own.0 % 2 == 1;
    let partner = EnvironmentId(if is_first { own.0 + 1 } else { own.0 - 1 });
    let word = SharedWord::new()?;
    // One accepts first, so that they do not wait for each other.
    let theirs = if is_first {
        word.share(partner)?;
        NeighbourWord::accept(partner)?
    } else {
        let theirs = NeighbourWord::accept(partner)?;
        word.share(partner)?;
        theirs
    };
    for turn in 1..=count {
        // Bound before the partner can run: in its last turn it ends, and its word is gone.
        gate::predicate_bind(&[theirs.term(Comparison::GreaterOrEqual, turn)])?;
        if is_first {
            word.set(turn);
            gate::environment_wake(partner)?;
        }
        predicate::sleep()?;
        if !is_first {
            word.set(turn);
            gate::environment_wake(partner)?;
        }
    }
    Ok(())
}
