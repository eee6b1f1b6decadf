//! `sleep-until COUNT TICKS`: sleeps so often until a moment, each so many ticks of the time stamp counter away.
//!
//! Half of the predicates name two moments, of which the first alone does not do.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use exo_programs::shared_word::SharedWord;
use exo_rt::abi::term::Comparison;
use exo_rt::{environment, gate, predicate, processor};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let numbers: Vec<u64> = environment::arguments()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let [count, ticks] = numbers[..] else {
        return Err(String::from(
            "the arguments are a number of sleeps and of ticks",
        ));
    };
    let word = SharedWord::new().map_err(|error| error.to_string())?;
    for sleep in 0..count {
        let moment = processor::time_stamp() + ticks;
        let at_moment = predicate::time_reached(moment);
        let too_early = predicate::and(predicate::time_reached(moment - ticks / 2));
        let never = word.term(Comparison::NotEqual, 0);
        let bound = match sleep % 2 {
            0 => gate::predicate_bind(&[at_moment]),
            _ => gate::predicate_bind(&[too_early, never, at_moment]),
        };
        bound.map_err(|error| error.to_string())?;
        predicate::sleep().map_err(|error| error.to_string())?;
        let now = processor::time_stamp();
        if now < moment {
            return Err(format!("sleep {sleep}: woken {} ticks early", moment - now));
        }
    }
    Ok(())
}
