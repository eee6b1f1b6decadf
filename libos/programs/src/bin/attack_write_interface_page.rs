//! Writes to the kernel interface page: data and gate.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{Access, expect_protected};
use exo_programs::victim::Victim;
use exo_rt::abi::address::{INTERFACE_PAGE, PAGE_SIZE};
use exo_rt::abi::interface_page::GATE_CODE_OFFSET;
use exo_rt::gate;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    for offset in [0, 16, GATE_CODE_OFFSET as u64, PAGE_SIZE - 8] {
        expect_protected(INTERFACE_PAGE + offset, &[Access::Write])?;
    }
    gate::null();
    Ok(())
}
