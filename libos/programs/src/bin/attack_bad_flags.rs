//! Enters the kernel and faults with the direction, nested-task and alignment flags set.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_equal, expect_fault};
use exo_programs::victim::Victim;
use exo_rt::abi::upcall::Vector;
use exo_rt::{gate, probe};

exo_rt::program!(main);

const DIRECTION: u64 = 1 << 10;
const NESTED_TASK: u64 = 1 << 14;
const ALIGNMENT_CHECK: u64 = 1 << 18;

fn main() -> Verdict {
    Victim::await_ready();
    for flags in [
        DIRECTION,
        NESTED_TASK,
        ALIGNMENT_CHECK,
        DIRECTION | NESTED_TASK | ALIGNMENT_CHECK,
    ] {
        expect_equal(
            "the status of a call",
            probe::null_call_with_flags(flags),
            0,
        )?;
        let outcome = probe::undefined_instruction_with_flags(flags);
        expect_fault("ud2", outcome, Vector::InvalidOpcode, 0, 0)?;
        gate::null();
    }
    Ok(())
}
