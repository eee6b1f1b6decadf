//! Executes pages that were not mapped to be executed: mapped ones, and the frame window.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{
    PLAYGROUND, PROTECTED_EXECUTE, PROTECTED_WRITE, allowed_mapping, expect_done, expect_page_fault,
};
use exo_programs::victim::Victim;
use exo_rt::abi::Rights;
use exo_rt::abi::map::MapEntry;
use exo_rt::{gate, probe, window};

exo_rt::program!(main);

/// The instruction `ret`.
const RET: u64 = 0xc3;

fn main() -> Verdict {
    Victim::await_ready();
    expect_done("mapping", gate::page_map(&[allowed_mapping()]))?;
    probe::write(PLAYGROUND, RET).map_err(|fault| alloc::format!("writing: {fault}"))?;
    expect_page_fault(
        "executing data",
        probe::execute(PLAYGROUND),
        PROTECTED_EXECUTE,
        PLAYGROUND,
    )?;
    let shown = window::address_of(allowed_mapping().frame);
    expect_page_fault(
        "executing the window",
        probe::execute_grant(shown),
        PROTECTED_EXECUTE,
        shown,
    )?;
    let executable = MapEntry {
        rights: Rights::READ_EXECUTE.0,
        ..allowed_mapping()
    };
    expect_done("protecting", gate::page_protect(&[executable]))?;
    probe::execute(PLAYGROUND).map_err(|fault| alloc::format!("executing code: {fault}"))?;
    expect_page_fault(
        "writing code",
        probe::write(PLAYGROUND, RET),
        PROTECTED_WRITE,
        PLAYGROUND,
    )
}

extern crate alloc;
