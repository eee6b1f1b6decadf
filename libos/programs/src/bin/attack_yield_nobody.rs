//! Yields to environments that have ended, that are none, that run elsewhere.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_error};
use exo_rt::abi::{EnvironmentId, Error};
use exo_rt::{environment, gate, tables, wait};

exo_rt::program!(main);

fn main() -> Verdict {
    let count = tables::environment_count() as u16;
    for number in [count + 1, 1000, u16::MAX] {
        let answer = gate::environment_yield_to(EnvironmentId(number));
        expect_error("yield to none", answer, Error::BadArgument)?;
    }
    expect_done(
        "yield to oneself",
        gate::environment_yield_to(environment::id()),
    )?;
    let named = |name: &str| {
        tables::environments().find(|(_, entry)| tables::Name::new(entry.name).as_str() == name)
    };
    let Some((dead, _)) = named("dead") else {
        return Err("the image has no environment that ends".into());
    };
    while named("dead").is_some_and(|(_, entry)| !tables::has_ended(&entry)) {
        wait::yield_now();
    }
    let answer = gate::environment_yield_to(dead);
    expect_error("yield to who has ended", answer, Error::BadState)
}
