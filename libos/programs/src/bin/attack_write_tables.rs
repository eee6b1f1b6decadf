//! Writes to the exported tables, which everybody may read.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{Access, expect_protected};
use exo_programs::victim::Victim;
use exo_rt::abi::address::EXPORTED_TABLES;
use exo_rt::tables;

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
        expect_protected(address, &[Access::Write, Access::Execute])?;
    }
    Ok(())
}
