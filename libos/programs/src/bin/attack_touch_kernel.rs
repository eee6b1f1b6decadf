//! Reads, writes and jumps to the kernel: text (its entries too), data.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{Access, expect_protected};
use exo_programs::victim::Victim;
use exo_rt::abi::address::KERNEL_BASE;
use exo_rt::abi::layout::{KERNEL_DATA, KERNEL_TEXT};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    for address in [
        KERNEL_BASE + KERNEL_TEXT,
        KERNEL_BASE + KERNEL_TEXT + 0x40,
        KERNEL_BASE + KERNEL_DATA,
    ] {
        expect_protected(address, &[Access::Read, Access::Write, Access::Execute])?;
    }
    Ok(())
}
