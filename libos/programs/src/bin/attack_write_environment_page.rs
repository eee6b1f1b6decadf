//! Writes to the own environment page, from which the kernel takes what an upcall returns to.
#![no_std]
#![no_main]

use core::mem::offset_of;

use exo_programs::Verdict;
use exo_programs::attack::{Access, expect_protected};
use exo_programs::victim::Victim;
use exo_rt::abi::address::ENVIRONMENT_PAGE;
use exo_rt::abi::environment::EnvironmentPage;

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
        expect_protected(address, &[Access::Write, Access::Execute])?;
    }
    Ok(())
}
