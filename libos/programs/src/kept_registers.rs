//! Registers that are to be kept while time passes and others run.

use alloc::format;
use alloc::string::String;

use exo_rt::environment;
use exo_rt::snapshot::Snapshot;
use exo_rt::vector_state::VectorState;

/// How often a round counts down: some milliseconds.
const COUNT: u64 = 2_000_000;
/// Arithmetic flags, which counting changes: PF AF ZF SF OF.
const ARITHMETIC: u64 = 0x4 | 0x10 | 0x40 | 0x80 | 0x800;

/// The first argument, a number of rounds.
pub fn rounds() -> Result<u64, String> {
    let rounds = environment::arguments().next();
    let rounds = rounds.and_then(|rounds| rounds.parse().ok());
    rounds.ok_or_else(|| String::from("the argument is a number of rounds"))
}

/// Fills every register, computes without a call, and compares; so many rounds.
pub fn check(rounds: u64) -> Result<(), String> {
    for round in 0..rounds {
        let seed = u64::from(environment::id().0) << 32 | round << 16;
        let mut before = Snapshot::from_seed(seed);
        let mut after = before.across_time(COUNT);
        before.flags &= !ARITHMETIC;
        after.flags &= !ARITHMETIC;
        if before != after {
            return Err(format!("round {round}: {after:x?}, not {before:x?}"));
        }
        let before = VectorState::from_seed(seed);
        let after = before.across_time(COUNT);
        if before != after {
            return Err(format!("round {round}: {after:x?}, not {before:x?}"));
        }
    }
    Ok(())
}
