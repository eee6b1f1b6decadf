//! Reads the GUID partition table of its disk, and gives each partition to the environment that has its name, as an extent.
//!
//! `--readonly NAME`: that one may only read. Ends when they have ended.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use exo_drivers::block::{Block, BlockError, Options};
use exo_drivers::partition::partitions;
use exo_drivers::transport::Transport;
use exo_drivers::virtio::DEVICE_BLOCK;
use exo_programs::gifts::{await_ends, environment_named, give};
use exo_rt::abi::function::QueueService;
use exo_rt::abi::{Kind, Rights};
use exo_rt::{environment, gate, println};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let readonly = readonly_names()?;
    let held = environment::capabilities_of(Kind::Extent).next();
    let (whole, extent) = held.ok_or("this environment has no extent; add one in the manifest")?;
    let function = Transport::find(DEVICE_BLOCK, 0).map_err(|error| error.to_string())?;
    let transport = Transport::bind(function).map_err(|error| error.to_string())?;
    gate::extent_bind(whole, function.capability)
        .map_err(|error| format!("the extent was not bound: {error}"))?;
    let options = Options {
        depth: 1,
        service: QueueService::Polled,
    };
    let mut disk = Block::start(transport, options).map_err(|error| error.to_string())?;
    let found = partitions(disk.sectors(), |first, bytes| -> Result<(), BlockError> {
        disk.read_sectors(first, bytes)
    });
    let found = found.map_err(|error| error.to_string())?;
    let mut receivers = Vec::new();
    for partition in &found {
        let receiver = environment_named(&partition.name)?;
        let rights = if readonly.contains(&partition.name) {
            Rights::READ
        } else {
            Rights::READ_WRITE
        };
        let first = extent.first + partition.first;
        let part = gate::capability_derive(whole, first, partition.sectors, rights)
            .map_err(|error| format!("partition {} was not derived: {error}", partition.number))?;
        give(part, receiver)?;
        println!(
            "partition {}: sectors {} to {}, to {}",
            partition.number,
            partition.first,
            partition.first + partition.sectors,
            partition.name
        );
        receivers.push(receiver);
    }
    await_ends(&receivers);
    Ok(())
}

fn readonly_names() -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    let mut arguments = environment::arguments();
    while let Some(argument) = arguments.next() {
        if argument != "--readonly" {
            return Err(format!(
                "unknown argument '{argument}'; there is --readonly NAME"
            ));
        }
        names.push(arguments.next().ok_or("--readonly needs a name")?);
    }
    Ok(names)
}
