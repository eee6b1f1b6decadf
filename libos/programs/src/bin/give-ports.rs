//! `give-ports NAME`: gives the ports that the manifest names last to the environment of this name; ends when that has ended.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};

use exo_programs::gifts::{await_ends, environment_named, give};
use exo_rt::abi::{Kind, Rights};
use exo_rt::{environment, gate};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let name = environment::arguments().next();
    let receiver = environment_named(&name.ok_or("the argument is the name of an environment")?)?;
    let ports = environment::capabilities_of(Kind::Ports).last();
    let (ports, entry) = ports.ok_or("the manifest gives it no ports")?;
    let rights = Rights::READ_WRITE.union(Rights::DERIVE);
    let derived = gate::capability_derive(ports, entry.first, entry.count, rights);
    give(derived.map_err(|error| error.to_string())?, receiver)?;
    await_ends(&[receiver]);
    Ok(())
}
