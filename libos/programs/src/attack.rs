//! Assertions of attack programs: exactly this error, exactly this fault.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

use exo_rt::abi::map::MapEntry;
use exo_rt::abi::upcall::Vector;
use exo_rt::abi::{Capability, Error, Rights};
use exo_rt::fault::FaultRecord;
use exo_rt::{environment, gate, probe};

use crate::Verdict;

/// Where attack programs map what they may map.
pub const PLAYGROUND: u64 = 0x2000_0000;

/// Page-fault error code (Intel SDM volume 3, section 4.7): user read of a page that is not there.
pub const NOT_PRESENT_READ: u64 = 0b00100;
/// User write to a page that is not there.
pub const NOT_PRESENT_WRITE: u64 = 0b00110;
/// User read of a page that only ring 0 may read.
pub const PROTECTED_READ: u64 = 0b00101;
/// User write to a page that it may not write.
pub const PROTECTED_WRITE: u64 = 0b00111;
/// User execution of a page that it may not execute.
pub const PROTECTED_EXECUTE: u64 = 0b10101;

/// Fails unless the kernel refused with exactly this error.
pub fn expect_error<T: Debug>(what: &str, answer: Result<T, Error>, error: Error) -> Verdict {
    match answer {
        Err(found) if found == error => Ok(()),
        Err(found) => Err(format!("{what}: refused with {found}, not with {error}")),
        Ok(value) => Err(format!(
            "{what}: done, with {value:x?}, where {error} was due"
        )),
    }
}

/// Fails unless the kernel did it.
pub fn expect_done<T>(what: &str, answer: Result<T, Error>) -> Result<T, String> {
    answer.map_err(|error| format!("{what}: refused with {error}, where it is allowed"))
}

/// Fails unless the two are equal.
pub fn expect_equal<T: PartialEq + Debug>(what: &str, found: T, due: T) -> Verdict {
    if found == due {
        Ok(())
    } else {
        Err(format!("{what}: {found:x?}, not {due:x?}"))
    }
}

/// Fails unless it ended in exactly this fault.
pub fn expect_fault<T>(
    what: &str,
    outcome: Result<T, FaultRecord>,
    vector: Vector,
    error_code: u64,
    address: u64,
) -> Verdict {
    match outcome {
        Ok(_) => Err(format!("{what}: no fault, where {vector} was due")),
        Err(record)
            if (record.vector, record.error_code, record.address)
                == (vector as u64, error_code, address) =>
        {
            Ok(())
        }
        Err(record) => Err(format!(
            "{what}: {record}; due was {vector}, error code {error_code:#x}, address {address:#x}"
        )),
    }
}

/// A page fault with this error code at this address.
pub fn expect_page_fault<T>(
    what: &str,
    outcome: Result<T, FaultRecord>,
    error_code: u64,
    address: u64,
) -> Verdict {
    expect_fault(what, outcome, Vector::PageFault, error_code, address)
}

/// A general protection fault with this error code.
pub fn expect_protection_fault<T>(
    what: &str,
    outcome: Result<T, FaultRecord>,
    error_code: u64,
) -> Verdict {
    expect_fault(what, outcome, Vector::GeneralProtection, error_code, 0)
}

/// What an attack does at an address.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// Reads a word.
    Read,
    /// Writes a word.
    Write,
    /// Calls it.
    Execute,
}

/// Fails unless there is a page at `address` that allows none of these accesses.
pub fn expect_protected(address: u64, accesses: &[Access]) -> Verdict {
    for access in accesses {
        let (outcome, error_code) = match access {
            Access::Read => (probe::read(address).map(drop), PROTECTED_READ),
            Access::Write => (probe::write(address, 0), PROTECTED_WRITE),
            Access::Execute => (probe::execute(address), PROTECTED_EXECUTE),
        };
        let what = format!("{access:?} at {address:#x}");
        expect_page_fault(&what, outcome, error_code, address)?;
    }
    Ok(())
}

/// A mapping of the last page of the own grant, which is allowed: attacks change one field of it.
pub fn allowed_mapping() -> MapEntry {
    MapEntry {
        address: PLAYGROUND,
        frame: environment::grant_first() + environment::grant_frames() - 1,
        pages: 1,
        rights: Rights::READ_WRITE.0,
        capability: environment::grant_capability().0,
    }
}

/// Fails unless the mapping is refused with exactly this error.
pub fn expect_map_error(what: &str, entry: MapEntry, error: Error) -> Verdict {
    expect_error(what, gate::page_map(&[entry]), error)
}

/// Fails unless nothing can be mapped, protected or unmapped at this address.
pub fn expect_bad_address(address: u64, pages: u32) -> Verdict {
    let entry = MapEntry {
        address,
        pages,
        ..allowed_mapping()
    };
    for (call, answer) in [
        ("page_map", gate::page_map(&[entry])),
        ("page_protect", gate::page_protect(&[entry])),
        ("page_unmap", gate::page_unmap(&[entry])),
    ] {
        let what = format!("{call} at {address:#x}");
        expect_error(&what, answer, Error::BadAddress)?;
    }
    Ok(())
}

/// Fails unless every call that takes a capability says that this is none. `frame` is what page and DMA mappings ask for.
pub fn expect_bad_capability(capability: Capability, frame: u64) -> Verdict {
    let entry = MapEntry {
        capability: capability.0,
        frame,
        ..allowed_mapping()
    };
    let dma = gate::dma_map(capability, frame, 1, Rights::READ_WRITE);
    let derived = gate::capability_derive(capability, frame, 1, Rights::READ);
    let given = gate::capability_give(capability, environment::id());
    for (call, answer) in [
        ("page_map", gate::page_map(&[entry]).map(drop)),
        ("dma_map", dma.map(drop)),
        ("function_bind", gate::function_bind(capability).map(drop)),
        ("vector_bind", gate::vector_bind(capability, 0).map(drop)),
        ("capability_free", gate::capability_free(capability)),
        ("capability_derive", derived.map(drop)),
        ("capability_give", given.map(drop)),
        ("capability_revoke", gate::capability_revoke(capability)),
    ] {
        let what = format!("{call} by {:#x}", capability.0);
        expect_error(&what, answer, Error::BadCapability)?;
    }
    Ok(())
}

/// Takes `count` capabilities, all of which are due.
pub fn take_all(
    count: u32,
    take: impl Fn(u32) -> Result<Capability, Error>,
) -> Result<Vec<Capability>, String> {
    (0..count)
        .map(|index| expect_done("taking", take(index)))
        .collect()
}

/// Gives capabilities back.
pub fn free_all(held: Vec<Capability>) -> Verdict {
    for capability in held {
        expect_done("freeing", gate::capability_free(capability))?;
    }
    Ok(())
}
