//! Uses the very words that other environments hold: the exported table shows them to everybody.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::expect_bad_capability;
use exo_programs::victim::{Victim, capabilities_of_others};
use exo_rt::tables;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let mut tried = 0;
    for (_, capability, _) in capabilities_of_others() {
        let entry = tables::capability(capability.slot()).expect("the slot is there");
        expect_bad_capability(capability, entry.first)?;
        tried += 1;
    }
    assert!(
        tried >= 3,
        "the victim holds its grant, its program and a console"
    );
    Ok(())
}
