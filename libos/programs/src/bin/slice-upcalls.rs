//! `slice-upcalls ROUNDS`: as `preempted`, but ends its slices itself: the runtime saves and restores all registers.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use exo_programs::kept_registers;
use exo_rt::{environment, slices, tables, wait};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let rounds = kept_registers::rounds()?;
    slices::install(wait::yield_now).map_err(|error| format!("{error}"))?;
    kept_registers::check(rounds)?;
    let before = slices::beginnings();
    let neighbour = || {
        tables::environments()
            .any(|(id, entry)| id != environment::id() && !tables::has_ended(&entry))
    };
    let mut yields = 0;
    while neighbour() && yields < 10 {
        wait::yield_now();
        yields += 1;
    }
    if yields == 10 && slices::beginnings() == before {
        return Err("it was told of no beginning of a slice".into());
    }
    match (slices::upcalls_taken(), tables::own_environment().turns) {
        (0, _) => Err("it was told of no end of a slice".into()),
        (_, 0 | 1) => Err("it had one turn only".into()),
        _ => Ok(()),
    }
}
