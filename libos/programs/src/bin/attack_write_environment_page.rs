//! Writes to the own environment page, from which the kernel takes what an upcall returns to.
#![no_std]
#![no_main]

use core::mem::offset_of;

use exo_programs::Verdict;
use exo_programs::attack::{PROTECTED_EXECUTE, PROTECTED_WRITE, expect_page_fault};
use exo_programs::victim::Victim;
use exo_rt::abi::address::ENVIRONMENT_PAGE;
use exo_rt::abi::environment::EnvironmentPage;
use exo_rt::probe;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let offsets = [
        offset_of!(EnvironmentPage, id),
        offset_of!(EnvironmentPage, upcall_code_segment),
        offset_of!(EnvironmentPage, upcall_flags),
        offset_of!(EnvironmentPage, upcall_entries),
        offset_of!(EnvironmentPage, kernel_stack),
    ];
    for offset in offsets {
        let address = ENVIRONMENT_PAGE + offset as u64;
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
