//! Uses ports next to those that it was given, and those that it has given away.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error, expect_protection_fault};
use exo_programs::victim::Victim;
use exo_rt::abi::{Error, Kind, Rights};
use exo_rt::probe::{BESIDE_PORTS, WITHIN_PORTS};
use exo_rt::{environment, gate};

extern crate alloc;

exo_rt::program!(main);

/// What the manifest gives, and nothing else: no console, so the exit status tells.
const PORTS: (u64, u64) = (0x3f9, 3);

fn main() -> Verdict {
    Victim::await_ready();
    let held = environment::capabilities_of(Kind::Ports).next();
    let (ports, entry) = held.ok_or("no ports")?;
    expect_equal("the ports", (entry.first, entry.count), PORTS)?;
    expect_only_own(true)?;
    for (first, count) in [(0x3f8, 1), (0x3f8, 4), (0x3fc, 1), (0x3f9, 4), (0, 0x400)] {
        expect_error(
            "ports outside",
            gate::capability_derive(ports, first, count, Rights::READ_WRITE),
            Error::OutOfRange,
        )?;
    }
    gate::environment_yield().map_err(|error| alloc::format!("{error}"))?;
    expect_only_own(true)?;
    expect_done("giving them back", gate::capability_free(ports))?;
    expect_only_own(false)
}

fn expect_only_own(held: bool) -> Verdict {
    for instruction in BESIDE_PORTS {
        expect_protection_fault(instruction.name, instruction.execute(), 0)?;
    }
    for instruction in WITHIN_PORTS {
        let outcome = instruction.execute();
        match held {
            true => expect_equal(instruction.name, outcome.is_ok(), true)?,
            false => expect_protection_fault(instruction.name, outcome, 0)?,
        }
    }
    Ok(())
}
