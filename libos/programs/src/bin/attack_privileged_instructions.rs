//! Executes every instruction that only ring 0 may.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::expect_protection_fault;
use exo_programs::victim::Victim;
use exo_rt::probe::PRIVILEGED;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    for instruction in PRIVILEGED {
        expect_protection_fault(instruction.name, instruction.execute(), 0)?;
    }
    Ok(())
}
