//! `borrow-slices NAME`: binds the slots that the environment of this name gives it, has turns in them, and when they are gone without them.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use exo_programs::gifts::{await_ends, await_gift, environment_named};
use exo_rt::abi::Kind;
use exo_rt::abi::slice::SLICES;
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

/// Turns that it has to get in what it borrowed, and after it.
const TURNS: u64 = 3;

fn main() -> Result<(), String> {
    let name = environment::arguments().next();
    let name = name.ok_or("the argument is the name of an environment")?;
    let giver = environment_named(&name)?;
    let (slots, entry) = await_gift(Kind::Slice, &name)?;
    gate::slice_bind(slots).map_err(|error| format!("binding the slots: {error}"))?;
    let first = u64::from(entry.resource) * SLICES as u64 + entry.first;
    let ticks = || tables::slice(first).map_or(0, |slot| slot.ticks);
    let is_held = || {
        let found = tables::capability(slots.slot());
        found.is_some_and(|found| found.generation == slots.generation())
    };
    let turns = || tables::own_environment().turns;
    let (before, used) = (turns(), ticks());
    while is_held() {
        core::hint::spin_loop();
    }
    // The position comes by the slot in each round.
    if turns() > before + TURNS && ticks() == used {
        return Err("nobody has used its slot".into());
    }
    let before = turns();
    while turns() < before + TURNS {
        core::hint::spin_loop();
    }
    if environment::held_of(Kind::Slice).next().is_some() {
        return Err("it still holds slots".into());
    }
    await_ends(&[giver]);
    Ok(())
}
