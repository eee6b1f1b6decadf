//! Drives its block function, and gives one queue of it to each environment that its arguments name; ends when they have ended.
//!
//! Queue 0 goes to the first name, queue 1 to the second, and so on.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use exo_drivers::transport::Transport;
use exo_drivers::virtio::{DEVICE_BLOCK, feature};
use exo_programs::gifts::{await_ends, environment_named, give};
use exo_rt::abi::{Kind, Rights};
use exo_rt::{environment, gate};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let function = Transport::find(DEVICE_BLOCK, 0).map_err(|error| error.to_string())?;
    let transport = Transport::bind(function).map_err(|error| error.to_string())?;
    transport
        .negotiate(feature::BLOCK_READ_ONLY | feature::BLOCK_FLUSH | feature::INDIRECT)
        .map_err(|error| error.to_string())?;
    transport.clear_configuration_vector();
    transport.start();
    let mut sharers = Vec::new();
    for (queue, name) in environment::arguments().enumerate() {
        let sharer = environment_named(&name)?;
        let (owned, rights) = (function.capability, Rights::READ_WRITE);
        let queue = gate::capability_derive_kind(owned, queue as u64, 1, rights, Kind::Queue);
        give(queue.map_err(|error| error.to_string())?, sharer)?;
        sharers.push(sharer);
    }
    await_ends(&sharers);
    Ok(())
}
