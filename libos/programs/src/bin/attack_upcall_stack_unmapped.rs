//! Names an upcall stack that is not mapped: the first push of its upcall is the second fault.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{PLAYGROUND, expect_done};
use exo_programs::victim::Victim;
use exo_rt::{environment, gate, probe, upcall};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    expect_done(
        "upcall_set",
        gate::upcall_set(upcall::entries_address(), PLAYGROUND),
    )?;
    environment::set_upcall_credit();
    probe::undefined_instruction();
    Err("it has survived".into())
}
