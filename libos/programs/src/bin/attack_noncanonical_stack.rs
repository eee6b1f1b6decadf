//! Faults, pushes and enters the kernel with a stack pointer that is not canonical.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use exo_programs::Verdict;
use exo_programs::attack::{expect_equal, expect_fault};
use exo_programs::victim::Victim;
use exo_rt::abi::address::KERNEL_BASE;
use exo_rt::abi::upcall::Vector;
use exo_rt::fault::FaultRecord;
use exo_rt::probe;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    for stack in [1 << 63, 0x0000_8000_0000_1000, 0xdead_beef_dead_bee8] {
        at(
            "ud2",
            stack,
            probe::undefined_instruction_on(stack),
            Vector::InvalidOpcode,
        )?;
        let pushed = probe::push_on(stack);
        // The manual says #SS (Intel SDM volume 2, PUSH); QEMU's emulation makes every such access a #GP.
        let emulated =
            pushed.is_err_and(|record| record.vector == Vector::GeneralProtection as u64);
        let vector = if emulated {
            Vector::GeneralProtection
        } else {
            Vector::StackFault
        };
        at("push", stack, pushed, vector)?;
        at(
            "gate",
            stack,
            probe::null_call_on(stack),
            Vector::InvalidOpcode,
        )?;
    }
    // A kernel address is canonical, and just as little a stack.
    let stack = KERNEL_BASE + 0x20_1000;
    at(
        "ud2",
        stack,
        probe::undefined_instruction_on(stack),
        Vector::InvalidOpcode,
    )?;
    at(
        "gate",
        stack,
        probe::null_call_on(stack),
        Vector::InvalidOpcode,
    )
}

fn at(what: &str, stack: u64, outcome: Result<(), FaultRecord>, vector: Vector) -> Verdict {
    let what = format!("{what} on {stack:#x}");
    expect_fault(&what, outcome, vector, 0, 0)?;
    expect_equal(&what, outcome.err().map(|record| record.stack), Some(stack))
}
