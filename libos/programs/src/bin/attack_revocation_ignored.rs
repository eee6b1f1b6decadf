//! Ignores revocation: loses the newest bindings by force, is told which, and keeps what it started with.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{
    NOT_PRESENT_READ, PLAYGROUND, allowed_mapping, expect_done, expect_equal, expect_error,
    expect_page_fault,
};
use exo_programs::cache::Chunk;
use exo_programs::revocation::{
    await_farewell, await_repossessions, expect_repossession, serial_of,
};
use exo_programs::victim::Victim;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Rights};
use exo_rt::{gate, probe, revocation, window};

exo_rt::program!(main);

const FRAMES: u64 = 8;

fn main() -> Verdict {
    Victim::await_ready();
    let chunk = || expect_done("a chunk", Chunk::allocate(FRAMES));
    let (oldest, middle, newest) = (chunk()?, chunk()?, chunk()?);
    let mapping = MapEntry {
        address: PLAYGROUND,
        frame: newest.first,
        pages: 2,
        rights: Rights::READ_WRITE.0,
        capability: newest.capability.0,
    };
    expect_done("mapping", gate::page_map(&[mapping]))?;
    expect_done(
        "reading",
        probe::read(PLAYGROUND).map_err(|_| Error::NotMapped),
    )?;

    // More than one chunk is asked for, and less than two.
    await_repossessions(2)?;
    expect_repossession(0, &newest)?;
    expect_repossession(1, &middle)?;
    expect_equal("open requests", revocation::request(), None)?;
    for lost in [&newest, &middle] {
        let answer = gate::capability_free(lost.capability);
        expect_error("a lost capability", answer, Error::BadCapability)?;
        let address = window::address_of(lost.first);
        expect_page_fault(
            "a lost frame",
            probe::read(address),
            NOT_PRESENT_READ,
            address,
        )?;
    }
    let lost = probe::read(PLAYGROUND);
    expect_page_fault("a lost mapping", lost, NOT_PRESENT_READ, PLAYGROUND)?;
    oldest.check()?;

    // Now everything is asked for.
    await_repossessions(3)?;
    expect_repossession(2, &oldest)?;
    expect_done("the grant", gate::page_map(&[allowed_mapping()]))?;
    expect_done(
        "its frames",
        probe::write(PLAYGROUND, 1).map_err(|_| Error::NotMapped),
    )?;
    expect_done("unmapping", gate::page_unmap(&[allowed_mapping()]))?;
    chunk()?.check()?;
    await_farewell(serial_of(2))
}
