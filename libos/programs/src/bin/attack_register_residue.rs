//! Looks for what the victim left in the registers: general, x87 and MMX, SSE, AVX, masks.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::expect_equal;
use exo_programs::victim::{SECRET, Victim};
use exo_rt::abi::Call;
use exo_rt::residue::yield_holding;
use exo_rt::tables;

exo_rt::program!(main);

/// What this program leaves in the registers: it must not come back either, else there was no switch.
const OWN: u64 = 0x4f77_6e20_4f77_6e20;
/// Where x87 registers and xmm0 .. xmm15 lie in what `fxsave64` writes, in words (Intel SDM volume 1, section 10.5.1).
const REGISTERS: core::ops::Range<usize> = 4..52;

fn main() -> Verdict {
    let victim = Victim::await_ready();
    let yields =
        || tables::environment(victim.id).map(|entry| entry.calls[Call::EnvironmentYield.index()]);
    for _ in 0..100 {
        let before = yields();
        let after = yield_holding(OWN);
        assert!(yields() > before, "the victim runs on the same vCPU");
        expect_equal(
            "x87 and SSE",
            after.floating_point[REGISTERS]
                .iter()
                .all(|&word| word == 0),
            true,
        )?;
        expect_equal("vectors", after.vectors, [[0; 8]; 32])?;
        expect_equal("masks", after.masks, [0; 8])?;
        expect_equal("general registers", after.general.contains(&SECRET), false)?;
    }
    Ok(())
}
