//! Faults without an upcall entry: the kernel ends it, with the reason.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::victim::Victim;
use exo_rt::probe;

exo_rt::program!(main, without_upcalls);

fn main() -> Verdict {
    Victim::await_ready();
    probe::undefined_instruction();
    Err("it has survived".into())
}
