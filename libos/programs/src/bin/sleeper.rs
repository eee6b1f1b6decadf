//! `sleeper ENVIRONMENT VALUE`: sleeps until a word that this environment shares has a value, and then until it has another.
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
    let [from, value] = numbers[..] else {
        return Err(String::from(
            "the arguments are an environment number and a value",
        ));
    };
    sleep_twice(EnvironmentId(from as u16), value).map_err(|error| format!("{error}"))
}

fn sleep_twice(from: EnvironmentId, value: u64) -> Result<(), Error> {
    let word = NeighbourWord::accept(from)?;
    gate::predicate_bind(&[word.term(Comparison::Equal, value)])?;
    predicate::sleep()?;
    gate::predicate_bind(&[word.term(Comparison::Equal, value + 1)])?;
    predicate::sleep()
}
