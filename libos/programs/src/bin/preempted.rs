//! `preempted ROUNDS`: fills every register, computes without a call, and finds the registers as they were, although the kernel has let
//! others run meanwhile.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;

use exo_programs::kept_registers;
use exo_rt::tables;

exo_rt::program!(main);

fn main() -> Result<(), String> {
    kept_registers::check(kept_registers::rounds()?)?;
    match tables::own_environment().forced_switches {
        0 => Err("it was never switched by force".into()),
        _ => Ok(()),
    }
}
