//! Takes the upcall at the end of each slice and goes on as if nothing had happened.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use core::sync::atomic::{AtomicU64, Ordering};

use exo_programs::Verdict;
use exo_programs::attack::expect_done;
use exo_rt::{environment, slices, tables};

exo_rt::program!(main);

/// Ends of slices that it ignores.
const LATE: u64 = 10;

fn main() -> Verdict {
    expect_done("slice_upcall_set", slices::install(ignore))?;
    while tables::own_environment().penalties < LATE {}
    let own = tables::own_environment();
    let beside = tables::environments()
        .find(|(id, entry)| {
            *id != environment::id() && tables::Name::new(entry.name).as_str() == "beside"
        })
        .map_or(0, |(_, entry)| entry.turns);
    // Every second turn is lost.
    if own.turns > beside * 3 / 4 {
        return Err(format!("{} turns, with {beside} of the other", own.turns));
    }
    Ok(())
}

/// Penalties that it has seen.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// Is late: comes back only after a penalty, which may have come already.
fn ignore() {
    let seen = SEEN.load(Ordering::Relaxed);
    let penalties = loop {
        let penalties = tables::own_environment().penalties;
        if penalties != seen {
            break penalties;
        }
    };
    SEEN.store(penalties, Ordering::Relaxed);
}
