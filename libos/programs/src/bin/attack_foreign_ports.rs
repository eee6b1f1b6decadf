//! Reads and writes I/O ports that it was not given: the exit port and the control device among them.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::expect_protection_fault;
use exo_programs::victim::Victim;
use exo_rt::probe::{CONSOLE, PORTS};

exo_rt::program!(main);

/// The manifest gives this program no console either, so what it prints is dropped: its exit status tells.
fn main() -> Verdict {
    Victim::await_ready();
    for instruction in PORTS.iter().chain(CONSOLE) {
        expect_protection_fault(instruction.name, instruction.execute(), 0)?;
    }
    Ok(())
}
