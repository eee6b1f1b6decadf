//! Faults again before it has taken the frame of the first fault: the kernel ends it, with the reason.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{PLAYGROUND, expect_done};
use exo_programs::victim::Victim;
use exo_rt::{environment, gate, probe, window};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    // The first upcall enters where nothing is mapped, so its first instruction is the second fault.
    expect_done(
        "upcall_set",
        gate::upcall_set(PLAYGROUND, window::upcall_stack_top()),
    )?;
    environment::set_upcall_credit();
    probe::undefined_instruction();
    Err("it has survived".into())
}
