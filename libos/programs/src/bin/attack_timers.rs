//! Sets its timer to moments that have passed, again and again, and to moments that never come.
#![no_std]
#![no_main]

extern crate alloc;

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal};
use exo_programs::victim::Victim;
use exo_rt::{environment, gate, wait};

exo_rt::program!(main);

/// Events that it wants at once.
const MANY: u64 = 100;
/// Turns in which nothing may come.
const QUIET: u64 = 20;
/// A moment that has passed.
const PAST: u64 = 1;

fn main() -> Verdict {
    Victim::await_ready();
    for _ in 0..MANY {
        let seen = environment::events();
        expect_done("a moment that has passed", gate::timer_set(PAST))?;
        while environment::events() == seen {
            expect_done("waiting", gate::environment_wait(seen))?;
        }
    }
    // One that could not be told at once would come again.
    expect_done("no moment", gate::timer_set(0))?;
    let seen = environment::events();
    for moment in [u64::MAX, u64::MAX - 1, 1 << 63] {
        expect_done("a moment that does not come", gate::timer_set(moment))?;
        expect_nothing(seen)?;
    }
    // Only the last one counts, and none is left behind it.
    expect_done("no moment", gate::timer_set(0))?;
    expect_nothing(seen)
}

/// Fails if an event comes within some turns.
fn expect_nothing(seen: u64) -> Verdict {
    for _ in 0..QUIET {
        wait::yield_now();
    }
    expect_equal("events", environment::events(), seen)
}
