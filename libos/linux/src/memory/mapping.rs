//! Runs of pages, cut as the kernel wants them: none crosses a multiple of 2 MiB, and no batch has too many pages.

use exo_abi::address::{BLOCK_SIZE, PAGE_SIZE};
use exo_abi::map::MapEntry;
use exo_abi::{Capability, Rights};
use exo_rt::gate;

use crate::errno::{Errno, Result};

/// Pages that can be mapped together at `address`.
fn run_length(address: u64, pages: u64) -> u64 {
    pages.min((BLOCK_SIZE - address % BLOCK_SIZE) / PAGE_SIZE)
}

/// Maps frames `first..first + pages` at `address`. `capability` tells which covers a frame.
pub fn map(
    mut address: u64,
    mut first: u64,
    mut pages: u64,
    rights: Rights,
    capability: impl Fn(u64) -> Capability,
) -> Result<()> {
    while pages != 0 {
        let run = run_length(address, pages);
        let entry = MapEntry {
            address,
            frame: first,
            pages: run as u32,
            rights: rights.0,
            capability: capability(first).0,
        };
        gate::page_map(&[entry]).map_err(|_| Errno::ENOMEM)?;
        address += run * PAGE_SIZE;
        first += run;
        pages -= run;
    }
    Ok(())
}

/// Changes the rights of mapped pages under one capability.
pub fn protect(address: u64, pages: u64, rights: Rights, capability: Capability) -> Result<()> {
    let entry = MapEntry {
        address,
        frame: 0,
        pages: pages as u32,
        rights: rights.0,
        capability: capability.0,
    };
    gate::page_protect(&[entry])
        .map(drop)
        .map_err(|_| Errno::ENOMEM)
}

/// Unmaps pages.
pub fn unmap(address: u64, pages: u64) -> Result<()> {
    let entry = MapEntry {
        address,
        pages: pages as u32,
        ..MapEntry::default()
    };
    gate::page_unmap(&[entry])
        .map(drop)
        .map_err(|_| Errno::ENOMEM)
}
