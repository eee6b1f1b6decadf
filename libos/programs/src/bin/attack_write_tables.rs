//! Writes to the exported tables, which everybody may read.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{PROTECTED_EXECUTE, PROTECTED_WRITE, expect_page_fault};
use exo_programs::victim::Victim;
use exo_rt::abi::address::EXPORTED_TABLES;
use exo_rt::{probe, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready();
    let victims_frame = tables::frames_address() + victim.frame * 8;
    for address in [
        EXPORTED_TABLES,
        tables::environments_address(),
        tables::frames_address(),
        victims_frame,
    ] {
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
