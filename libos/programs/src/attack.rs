//! Assertions of attack programs: exactly this error, exactly this fault.

use alloc::format;
use alloc::string::String;
use core::fmt::Debug;

use exo_rt::abi::map::MapEntry;
use exo_rt::abi::upcall::Vector;
use exo_rt::abi::{Error, Rights};
use exo_rt::fault::FaultRecord;
use exo_rt::{environment, gate};

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

/// A mapping of the first page of the own grant, which is allowed: attacks change one field of it.
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
