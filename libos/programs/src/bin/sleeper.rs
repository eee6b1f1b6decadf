//! `sleeper ENVIRONMENT VALUE COUNT`: sleeps until a word that this environment shares has a value, and then until it has another or is
//! taken back; so often.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use exo_programs::shared_word::NeighbourWord;
use exo_rt::abi::Error;
use exo_rt::abi::environment::EnvironmentId;
use exo_rt::abi::term::Comparison;
use exo_rt::{environment, gate, predicate};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let numbers: Vec<u64> = environment::arguments()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let [from, value, count] = numbers[..] else {
        return Err(String::from(
            "the arguments are an environment number, a value and a count",
        ));
    };
    for _ in 0..count {
        let slept = sleep_twice(EnvironmentId(from as u16), value);
        slept.map_err(|error| format!("{error}"))?;
    }
    Ok(())
}

fn sleep_twice(from: EnvironmentId, value: u64) -> Result<(), Error> {
    let word = NeighbourWord::accept(from)?;
    gate::predicate_bind(&[word.term(Comparison::Equal, value)])?;
    predicate::sleep()?;
    gate::predicate_bind(&[word.term(Comparison::Equal, value + 1)])?;
    predicate::sleep()
}
