//! `transfer-path COUNT`: transfers to the server COUNT times, for path lengths.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use exo_programs::entries::await_entry;
use exo_programs::sharing::environment_named;
use exo_rt::transfer::Message;
use exo_rt::{environment, gate};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let count = environment::arguments().next();
    let count: Option<u64> = count.and_then(|count| count.parse().ok());
    let count = count.ok_or_else(|| String::from("the argument is a number of transfers"))?;
    let entry = await_entry(environment_named("server")).map_err(|error| format!("{error}"))?;
    // The first binds the capability, the last ends the server.
    for number in (1..=count + 1).chain([0]) {
        gate::transfer(entry, &mut Message::from_seed(number))
            .map_err(|error| format!("{number}: {error}"))?;
    }
    Ok(())
}
