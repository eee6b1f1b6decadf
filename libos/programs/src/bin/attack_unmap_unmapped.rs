//! Unmaps and protects what is not mapped, and protects by a capability that does not cover it.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_done, expect_error};
use exo_programs::victim::Victim;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Rights};
use exo_rt::gate;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let entry = allowed_mapping();
    expect_error("unmapping", gate::page_unmap(&[entry]), Error::NotMapped)?;
    expect_error("protecting", gate::page_protect(&[entry]), Error::NotMapped)?;
    expect_done("mapping", gate::page_map(&[entry]))?;
    let longer = MapEntry { pages: 2, ..entry };
    expect_error(
        "unmapping more",
        gate::page_unmap(&[longer]),
        Error::NotMapped,
    )?;
    expect_error(
        "protecting more",
        gate::page_protect(&[longer]),
        Error::NotMapped,
    )?;
    let other = expect_done("allocating", gate::frame_allocate(ANY_FRAME, 1, 0))?;
    let uncovered = MapEntry {
        capability: other.0,
        rights: Rights::READ.0,
        ..entry
    };
    expect_error(
        "protecting by another",
        gate::page_protect(&[uncovered]),
        Error::OutOfRange,
    )?;
    expect_done("unmapping what is mapped", gate::page_unmap(&[entry])).map(drop)
}
