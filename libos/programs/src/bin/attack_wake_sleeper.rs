//! Tries to wake a neighbour whose predicate does not hold; then wakes it by making it hold, and by taking back what it reads.
#![no_std]
#![no_main]

extern crate alloc;

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal};
use exo_programs::shared_word::SharedWord;
use exo_programs::victim::Victim;
use exo_rt::abi::Call;
use exo_rt::abi::environment::{EnvironmentEntry, EnvironmentId, State};
use exo_rt::{environment, gate, tables, wait};

exo_rt::program!(main);

/// Number of the neighbour, by the manifest.
const SLEEPER: EnvironmentId = EnvironmentId(3);
/// How often, as its argument says.
const ROUNDS: u64 = 10;
/// Hints that come to nothing, a round.
const HINTS: u64 = 50;
/// What it waits for, as its argument says.
const AWAITED: u64 = 7;

fn sleeper() -> EnvironmentEntry {
    tables::environment(SLEEPER).expect("the manifest has a sleeper")
}

/// Waits until it has gone to sleep so often, and sleeps.
fn await_sleep(times: u64) {
    loop {
        let entry = sleeper();
        let sleeps = entry.calls[Call::EnvironmentSleep.index()];
        if sleeps == times && entry.state == State::Waiting as u32 {
            return;
        }
        wait::yield_now();
    }
}

fn main() -> Verdict {
    Victim::await_ready();
    let word = expect_done("taking memory", SharedWord::new())?;
    for round in 0..ROUNDS {
        wake_twice(&word, round)?;
    }
    Ok(())
}

/// It sleeps, asks again when it is woken, and sleeps on another value: four sleeps a round.
fn wake_twice(word: &SharedWord, round: u64) -> Verdict {
    word.set(0);
    expect_done("sharing", word.share(SLEEPER))?;
    let asleep = 4 * round + 1;
    await_sleep(asleep);
    for value in 0..HINTS {
        word.set(if value == AWAITED { 0 } else { value });
        let answer = gate::environment_wake(SLEEPER);
        expect_equal("waking it for nothing", answer, Ok(false))?;
    }
    wait::yield_now();
    let entry = sleeper();
    expect_equal("its state", entry.state, State::Waiting as u32)?;
    let sleeps = entry.calls[Call::EnvironmentSleep.index()];
    expect_equal("its sleeps", sleeps, asleep)?;
    word.set(AWAITED);
    expect_equal("waking it", gate::environment_wake(SLEEPER), Ok(true))?;
    await_sleep(asleep + 2);
    let answer = gate::environment_wake(SLEEPER);
    expect_equal("waking it for nothing", answer, Ok(false))?;
    let grant = environment::grant_capability();
    expect_done("revoking", gate::capability_revoke(grant)).map(drop)
}
