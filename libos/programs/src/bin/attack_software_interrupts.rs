//! Executes `int n` for vectors that are the kernel's or nobody's.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_fault, expect_protection_fault};
use exo_programs::victim::Victim;
use exo_rt::abi::interface_page::Gate;
use exo_rt::abi::upcall::Vector;
use exo_rt::probe::{SOFTWARE_INTERRUPT_VECTORS, SOFTWARE_INTERRUPTS};
use exo_rt::tables;

exo_rt::program!(main);

/// Bit 1 of the error code: the selector index is one of the IDT (Intel SDM volume 3, section 6.13).
const IDT: u64 = 2;

fn main() -> Verdict {
    Victim::await_ready();
    for (vector, instruction) in SOFTWARE_INTERRUPT_VECTORS.iter().zip(SOFTWARE_INTERRUPTS) {
        let (name, outcome) = (instruction.name, instruction.execute());
        if tables::gate() == Some(Gate::Breakpoint) {
            // Where `syscall` does not work, the hypervisor knows no `int n` either.
            expect_fault(name, outcome, Vector::InvalidOpcode, 0, 0)?;
        } else if outcome.is_err_and(|record| record.error_code == vector << 4 | IDT) {
            // QEMU 7.2 (target/i386/tcg/seg_helper.c, do_interrupt64) counts descriptors of 16 bytes, not of 8.
            expect_protection_fault(name, outcome, vector << 4 | IDT)?;
        } else {
            expect_protection_fault(name, outcome, vector << 3 | IDT)?;
        }
    }
    Ok(())
}
