//! Enters the gate with numbers that are no call, and executes `syscall` by itself.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{PROTECTED_EXECUTE, expect_fault, expect_page_fault};
use exo_programs::victim::Victim;
use exo_rt::abi::address::KERNEL_BASE;
use exo_rt::abi::call::{CALL_BASE, CALL_COUNT};
use exo_rt::abi::interface_page::Gate;
use exo_rt::abi::layout::KERNEL_TEXT;
use exo_rt::abi::upcall::Vector;
use exo_rt::fault::{FaultRecord, catch_fault};
use exo_rt::{gate, probe, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let vector = match tables::gate() {
        Some(Gate::Breakpoint) => Vector::Breakpoint,
        Some(Gate::Syscall) | None => Vector::Syscall,
    };
    let base = u64::from(CALL_BASE);
    let numbers = [
        0,
        1,
        60,
        base - 1,
        base + CALL_COUNT as u64,
        base | 1 << 32,
        base | 1 << 63,
        u64::MAX,
    ];
    for number in numbers {
        let outcome = catch_fault(|| gate::enter(number, [0; 4]));
        expect_fault("the gate", outcome, vector, 0, 0)?;
        expect_syscall(probe::system_call(number))?;
    }
    gate::null();
    Ok(())
}

fn expect_syscall(outcome: Result<(), FaultRecord>) -> Verdict {
    if tables::gate() == Some(Gate::Syscall) {
        return expect_fault("syscall", outcome, Vector::Syscall, 0, 0);
    }
    // Here `syscall` jumps to the kernel's entry and stays in ring 3, which may not execute it.
    let entry = outcome.err().map_or(0, |record| record.instruction);
    assert!(
        entry >= KERNEL_BASE + KERNEL_TEXT,
        "syscall went to {entry:#x}"
    );
    expect_page_fault("syscall", outcome, PROTECTED_EXECUTE, entry)
}
