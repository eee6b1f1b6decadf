//! Keeps ports that it was given, whatever is asked, and uses them up to the moment at which they are taken.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_protection_fault};
use exo_programs::gifts::await_gift;
use exo_programs::revocation::{
    Binding, await_end_of_request, await_farewell, await_repossessions, serial_of, sleep_once,
};
use exo_programs::victim::Victim;
use exo_rt::abi::{Kind, Rights};
use exo_rt::probe::WITHIN_PORTS;
use exo_rt::{gate, processor, revocation};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let (given, entry) = await_gift(Kind::Ports, "giver")?;
    let part = gate::capability_derive(given, entry.first, 1, Rights::READ_WRITE);
    let part = Binding::of(expect_done("a part", part)?)?;
    let given = Binding::of(given)?;
    expect_ports(true)?;

    // The newest goes first: what was derived from the rest, which still names all of it.
    await_repossessions(1)?;
    part.expect_taken(0)?;
    expect_ports(true)?;

    // The test waits for this before it asks.
    sleep_once();
    let first = WITHIN_PORTS.first().ok_or("no instruction")?;
    let fault = loop {
        if let Err(fault) = first.execute() {
            break fault;
        }
    };
    expect_protection_fault::<()>("the first port", Err(fault), 0)?;
    while revocation::repossessed() == 1 {
        processor::pause();
    }
    given.expect_taken(1)?;
    expect_ports(false)?;

    // The port of its console it has started with.
    let last = await_end_of_request(serial_of(1))?;
    expect_equal("bindings taken", revocation::repossessed(), 2)?;
    await_farewell(last)
}

fn expect_ports(held: bool) -> Verdict {
    for instruction in WITHIN_PORTS {
        let outcome = instruction.execute();
        match held {
            true => expect_equal(instruction.name, outcome.is_ok(), true)?,
            false => expect_protection_fault(instruction.name, outcome, 0)?,
        }
    }
    Ok(())
}
