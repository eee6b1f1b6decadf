//! `await-turns COUNT`: computes, and never enters the kernel by itself, until it has had so many turns.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;

use exo_rt::{environment, tables};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let count = environment::arguments().next();
    let count: Option<u64> = count.and_then(|count| count.parse().ok());
    let count = count.ok_or_else(|| String::from("the argument is a number of turns"))?;
    while tables::environment(environment::id()).is_some_and(|entry| entry.turns < count) {
        core::hint::spin_loop();
    }
    Ok(())
}
