//! Writes to an extent that it was given for as long as it can, while it is taken by force.
#![no_std]
#![no_main]

use exo_drivers::virtio::block::{CONFIGURATION_CAPACITY, OUT, STATUS_IO_ERROR, STATUS_OK};
use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_programs::gifts::{await_gift, environment_named};
use exo_programs::raw_disk::{DATA, RawDisk, Reaction};
use exo_programs::revocation::{Binding, await_farewell, serial_of, sleep_once};
use exo_programs::victim::Victim;
use exo_rt::abi::function::QueueService;
use exo_rt::abi::{Error, Kind};
use exo_rt::{environment, gate, processor, revocation, tables};

exo_rt::program!(main);

/// What it writes; the giver looks for it afterwards.
const MARK: u64 = 0x5555_aaaa_5555_aaaa;

fn main() -> Verdict {
    Victim::await_ready();
    let (given, _) = await_gift(Kind::Extent, "giver")?;
    let extent = Binding::of(given)?;
    let function = environment::functions().next().expect("a function");
    let mut disk = RawDisk::open(QueueService::Polled)?;
    expect_done("binding", gate::extent_bind(given, function.capability))?;
    disk.memory.write_u64(DATA, MARK);
    let chain = disk.request(OUT, 0);
    let first = disk.offer_chain(&chain)?;
    expect_equal("a write", first, Reaction::Finished(STATUS_OK))?;

    // The test waits for this before it asks.
    sleep_once();
    let reaction = loop {
        match disk.offer_chain(&chain)? {
            Reaction::Finished(STATUS_OK) => {}
            other => break other,
        }
    };
    let due = Reaction::Finished(STATUS_IO_ERROR);
    expect_equal("a write to a lost extent", reaction, due)?;
    while revocation::repossessed() == 0 {
        processor::pause();
    }
    extent.expect_taken(0)?;
    let answer = gate::extent_bind(given, function.capability);
    expect_error("binding it again", answer, Error::BadCapability)?;
    let capacity = disk.transport.configuration_u64(CONFIGURATION_CAPACITY);
    expect_equal("what the function shows", capacity, 0)?;
    // The giver writes there meanwhile, looks whether that stays, and ends.
    let giver = environment_named("giver")?;
    while tables::environment(giver).is_some_and(|entry| !tables::has_ended(&entry)) {
        let reaction = disk.offer_chain(&chain)?;
        expect_equal("another write", reaction, due)?;
    }
    await_farewell(serial_of(0))
}
