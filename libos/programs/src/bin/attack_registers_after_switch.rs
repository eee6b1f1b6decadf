//! Looks in every register for what the environment left there that ran before on the same vCPU.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use exo_programs::Verdict;
use exo_programs::attack::expect_equal;
use exo_programs::victim::Victim;
use exo_rt::abi::address::{INTERFACE_PAGE, PAGE_SIZE};
use exo_rt::full_state::FullState;
use exo_rt::tables;

exo_rt::program!(main);

const ROUNDS: u64 = 20;

/// x87 control word after `fninit`, and all below the registers that `fxsave64` writes: no flag, no instruction, no operand.
const LEGACY_START: [u64; 3] = [0x37f, 0, 0];
/// MXCSR after reset; above it stands which bits of it there are.
const MXCSR: u64 = 0x1f80;
/// Interrupts on, and bit 1.
const FLAGS: u64 = 0x202;

fn main() -> Verdict {
    Victim::await_ready();
    for round in 0..ROUNDS {
        let before = turns_of_secret();
        let state = FullState::after_yield();
        if turns_of_secret() == before {
            return Err(format!("round {round}: nobody ran in between"));
        }
        look(&state).map_err(|found| format!("round {round}: {found}"))?;
    }
    Ok(())
}

/// How many turns the environment with the secret has had.
fn turns_of_secret() -> u64 {
    tables::environments()
        .find(|(_, entry)| tables::Name::new(entry.name).as_str() == "secret")
        .map_or(0, |(_, entry)| entry.turns)
}

fn look(state: &FullState) -> Verdict {
    let mut general = state.general;
    // The own instruction pointer in the interface page, where the environment had to clear registers itself.
    if (INTERFACE_PAGE..INTERFACE_PAGE + PAGE_SIZE).contains(&general[2]) {
        general[2] = 0;
    }
    expect_equal("general registers", general, [0; 15])?;
    expect_equal("flags", state.flags, FLAGS)?;
    expect_equal("DS, ES, FS, GS", state.selectors, [0; 4])?;
    expect_equal("the bases of FS and GS", state.bases, [0; 2])?;
    let [start0, start1, start2, mxcsr, registers @ ..] = &state.legacy;
    expect_equal("x87 control", [*start0, *start1, *start2], LEGACY_START)?;
    expect_equal("MXCSR", mxcsr & 0xffff_ffff, MXCSR)?;
    expect_equal("x87 and SSE registers", *registers, [0; 60])?;
    expect_equal("AVX registers", state.vectors, [[0; 8]; 32])?;
    expect_equal("mask registers", state.masks, [0; 8])
}
