//! Uses words that never were capabilities, in every call that takes one.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::expect_bad_capability;
use exo_programs::victim::Victim;
use exo_rt::abi::Capability;
use exo_rt::{environment, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let own = environment::grant_capability();
    let slots = tables::capability_slots() as u32;
    let forged = [
        Capability::NONE,
        Capability(u64::MAX),
        Capability(own.0 | 1 << 63),
        Capability::new(own.slot(), 0),
        Capability::new(own.slot(), own.generation() + 1),
        Capability::new(slots, 1),
        Capability::new(slots - 1, 1),
        Capability::new(u32::MAX, own.generation()),
    ];
    for capability in forged {
        expect_bad_capability(capability, environment::grant_first())?;
    }
    Ok(())
}
