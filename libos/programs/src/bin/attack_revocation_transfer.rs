//! `attack-revocation-transfer COUNT`: awaits the reply of an environment that does not reply before slots and frames were taken from this one.
#![no_std]
#![no_main]

extern crate alloc;

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal};
use exo_programs::cache::Chunk;
use exo_programs::entries::await_entry;
use exo_programs::revocation::{Binding, await_farewell, expect_repossession, serial_of};
use exo_programs::sharing::environment_named;
use exo_programs::victim::Victim;
use exo_rt::abi::slice::ANY_POSITION;
use exo_rt::abi::{Error, Kind};
use exo_rt::transfer::Message;
use exo_rt::{environment, gate, tables, wait};

exo_rt::program!(main);

const FRAMES: u64 = 8;

fn main() -> Verdict {
    Victim::await_ready();
    let entry = expect_done("an entry", await_entry(environment_named("server")))?;
    for round in 0..3 {
        let vcpu = tables::own_environment().vcpu;
        let slots = gate::slice_allocate(vcpu, ANY_POSITION, 2);
        let slots = Binding::of(expect_done("slots", slots)?)?;
        let chunk = expect_done("a chunk", Chunk::allocate(FRAMES))?;
        let mut message = Message::from_seed(round);
        loop {
            match gate::transfer(entry, &mut message) {
                Err(Error::Unwilling) => wait::yield_now(),
                answer => break expect_done("the transfer", answer)?,
            }
        }
        expect_equal("the reply", message, Message::from_seed(!round))?;
        let held = environment::held_of(Kind::Slice).next();
        expect_equal("slots held", held.is_none(), true)?;
        // The test asks for the slots first.
        slots.expect_taken(2 * round)?;
        expect_repossession(2 * round + 1, &chunk)?;
    }
    let mut message = Message::from_seed(u64::MAX);
    expect_done("the last transfer", gate::transfer(entry, &mut message))?;
    await_farewell(serial_of(5))
}
