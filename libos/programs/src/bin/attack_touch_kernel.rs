//! Reads, writes and jumps to the kernel: text (its entries too), data.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{PROTECTED_EXECUTE, PROTECTED_READ, PROTECTED_WRITE, expect_page_fault};
use exo_programs::victim::Victim;
use exo_rt::abi::address::KERNEL_BASE;
use exo_rt::abi::layout::{KERNEL_DATA, KERNEL_TEXT};
use exo_rt::probe;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    for address in [
        KERNEL_BASE + KERNEL_TEXT,
        KERNEL_BASE + KERNEL_TEXT + 0x40,
        KERNEL_BASE + KERNEL_DATA,
    ] {
        expect_page_fault("reading", probe::read(address), PROTECTED_READ, address)?;
        expect_page_fault(
            "writing",
            probe::write(address, 0),
            PROTECTED_WRITE,
            address,
        )?;
        expect_page_fault(
            "executing",
            probe::execute(address),
            PROTECTED_EXECUTE,
            address,
        )?;
    }
    Ok(())
}
