//! Goes through the code in which turns begin all the time, so that its slices seem to end before they have begun.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use exo_programs::Verdict;
use exo_rt::{environment, tables, turn_code};

exo_rt::program!(main);

/// Turns of the other for which it goes on.
const TURNS: u64 = 10;
/// How often it goes through the code before it looks again: far longer than a slice.
const TIMES: u64 = 1_000_000;

fn main() -> Verdict {
    let begin = turn_code::find().ok_or_else(|| String::from("no code begins turns"))?;
    loop {
        turn_code::repeat(begin, TIMES);
        let others = tables::environments()
            .filter(|(id, _)| *id != environment::id())
            .find(|(_, entry)| tables::Name::new(entry.name).as_str() == "beside");
        let (_, beside) = others.ok_or_else(|| String::from("nobody is beside"))?;
        let own = tables::own_environment();
        if beside.turns < TURNS {
            continue;
        }
        // A slice that has not begun may begin once anew, so two to one is what there is to gain, and the host takes from each what it likes.
        return match own.ticks < beside.ticks.saturating_mul(5) {
            true => Ok(()),
            false => Err(format!(
                "{} ticks, with {} of the other",
                own.ticks, beside.ticks
            )),
        };
    }
}
