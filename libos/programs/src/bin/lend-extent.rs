//! `lend-extent NAME`: gives its extent to the environment of this name; when that has lost it, writes there, sees that nobody else does, and ends.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};

use exo_drivers::virtio::block::{IN, OUT, STATUS_OK};
use exo_programs::gifts::{environment_named, give};
use exo_programs::raw_disk::{DATA, RawDisk, Reaction};
use exo_rt::abi::function::QueueService;
use exo_rt::abi::{Kind, Rights};
use exo_rt::wait::Spinner;
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

/// What it writes.
const OWN: u64 = 0x1111_2222_3333_4444;
/// Looks at the disk afterwards.
const LOOKS: u32 = 100;

fn main() -> Result<(), String> {
    let name = environment::arguments().next();
    let receiver = environment_named(&name.ok_or("the argument is the name of an environment")?)?;
    let extent = environment::capabilities_of(Kind::Extent).next();
    let (extent, entry) = extent.ok_or("the manifest gives it no extent")?;
    let refused = |error: exo_rt::abi::Error| error.to_string();
    let lent = gate::capability_derive(extent, entry.first, entry.count, Rights::READ_WRITE);
    let lent = give(lent.map_err(refused)?, receiver)?;

    let mut spinner = Spinner::new();
    while tables::capability(lent.slot()).is_some_and(|entry| entry.generation == lent.generation())
    {
        spinner.relax();
    }
    let function = environment::functions().next().ok_or("no function")?;
    let mut disk = RawDisk::open(QueueService::Events)?;
    gate::extent_bind(extent, function.capability).map_err(refused)?;
    disk.memory.write_u64(DATA, OWN);
    let write = disk.request(OUT, 0);
    expect_ok("the write", disk.offer_chain(&write)?)?;
    for look in 0..LOOKS {
        disk.memory.write_u64(DATA, 0);
        let read = disk.request(IN, 0);
        expect_ok("a read", disk.offer_chain(&read)?)?;
        let found = disk.memory.read_u64(DATA);
        if found != OWN {
            return Err(format!("look {look}: {found:#x} is on the disk"));
        }
    }
    Ok(())
}

fn expect_ok(what: &str, reaction: Reaction) -> Result<(), String> {
    match reaction {
        Reaction::Finished(STATUS_OK) => Ok(()),
        other => Err(format!("{what}: {other:?}")),
    }
}
