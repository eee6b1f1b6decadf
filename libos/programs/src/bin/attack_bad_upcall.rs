//! Names upcall entries outside the program range, and stacks outside the lower half.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_error, expect_fault};
use exo_programs::victim::Victim;
use exo_rt::abi::Error;
use exo_rt::abi::address::{KERNEL_BASE, LOWER_HALF_END, PROGRAM_BASE, PROGRAM_END};
use exo_rt::abi::environment::UPCALL_SLOTS;
use exo_rt::abi::upcall::{UPCALL_ENTRY_STRIDE, Vector};
use exo_rt::fault::catch_fault;
use exo_rt::{gate, probe, upcall, window};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let (entry, stack) = (upcall::entries_address(), window::upcall_stack_top());
    let last = (UPCALL_SLOTS as u64 - 1) * UPCALL_ENTRY_STRIDE;
    for bad in [
        0,
        PROGRAM_BASE - 1,
        PROGRAM_END - last,
        LOWER_HALF_END,
        LOWER_HALF_END - last,
        KERNEL_BASE,
        1 << 63,
        u64::MAX,
        u64::MAX - last,
    ] {
        expect_error("an entry", gate::upcall_set(bad, stack), Error::BadAddress)?;
        if bad != 0 && bad != PROGRAM_END - last {
            let answer = gate::event_upcall_set(bad, stack);
            expect_error("an entry for events", answer, Error::BadAddress)?;
        }
    }
    for bad in [LOWER_HALF_END, LOWER_HALF_END + 8, KERNEL_BASE, 1 << 63, !7] {
        expect_error("a stack", gate::upcall_set(entry, bad), Error::BadAddress)?;
        let answer = gate::event_upcall_set(entry, bad);
        expect_error("a stack for events", answer, Error::BadAddress)?;
    }
    // What was set before still holds.
    expect_fault(
        "ud2",
        catch_fault(probe::undefined_instruction),
        Vector::InvalidOpcode,
        0,
        0,
    )
}
