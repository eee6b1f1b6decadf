//! `slice-upcalls ROUNDS`: as `preempted`, but ends its slices itself: the runtime saves and restores all registers.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use exo_rt::snapshot::Snapshot;
use exo_rt::{environment, slices, tables, wait};

exo_rt::program!(main);

/// How often a round counts down: some milliseconds.
const COUNT: u64 = 2_000_000;
/// Arithmetic flags, which counting changes: PF AF ZF SF OF.
const ARITHMETIC: u64 = 0x4 | 0x10 | 0x40 | 0x80 | 0x800;

fn main() -> Result<(), String> {
    let rounds = environment::arguments().next();
    let rounds = rounds.and_then(|rounds| rounds.parse().ok());
    let rounds: u64 = rounds.ok_or_else(|| String::from("the argument is a number of rounds"))?;
    slices::install(wait::yield_now).map_err(|error| format!("{error}"))?;
    for round in 0..rounds {
        let mut before = Snapshot::from_seed(u64::from(environment::id().0) << 32 | round << 16);
        let mut after = before.across_time(COUNT);
        before.flags &= !ARITHMETIC;
        after.flags &= !ARITHMETIC;
        if before != after {
            return Err(format!("round {round}: {after:x?}, not {before:x?}"));
        }
    }
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
