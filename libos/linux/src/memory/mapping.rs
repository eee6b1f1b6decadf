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

/// Maps pages that have frames already, given by address and frame, ascending.
pub fn map_pages(
    pages: impl Iterator<Item = (u64, u64)>,
    rights: Rights,
    capability: impl Fn(u64) -> Capability,
) -> Result<()> {
    let mut run: Option<(u64, u64, u64)> = None;
    for (address, frame) in pages {
        run = match run {
            Some((start, first, count))
                if address == start + count * PAGE_SIZE
                    && frame == first + count
                    && capability(frame) == capability(first) =>
            {
                Some((start, first, count + 1))
            }
            Some((start, first, count)) => {
                map(start, first, count, rights, &capability)?;
                Some((address, frame, 1))
            }
            None => Some((address, frame, 1)),
        };
    }
    match run {
        Some((start, first, count)) => map(start, first, count, rights, &capability),
        None => Ok(()),
    }
}

/// Changes the rights of mapped pages, given by address and frame, ascending.
pub fn protect(
    pages: impl Iterator<Item = (u64, u64)>,
    rights: Rights,
    capability: impl Fn(u64) -> Capability,
) -> Result<()> {
    for_each_run(
        pages.map(|(address, frame)| (address, capability(frame))),
        |address, pages, capability| {
            let entry = MapEntry {
                address,
                frame: 0,
                pages,
                rights: rights.0,
                capability: capability.0,
            };
            gate::page_protect(&[entry])
                .map(drop)
                .map_err(|_| Errno::ENOMEM)
        },
    )
}

/// Unmaps pages, given by address, ascending.
pub fn unmap(pages: impl Iterator<Item = u64>) -> Result<()> {
    for_each_run(pages.map(|address| (address, ())), |address, pages, ()| {
        let entry = MapEntry {
            address,
            pages,
            ..MapEntry::default()
        };
        gate::page_unmap(&[entry])
            .map(drop)
            .map_err(|_| Errno::ENOMEM)
    })
}

/// Does `work` for each run of neighbouring pages that are alike, as long as the kernel takes one: first address, pages, what they are.
fn for_each_run<T: PartialEq + Copy>(
    pages: impl Iterator<Item = (u64, T)>,
    mut work: impl FnMut(u64, u32, T) -> Result<()>,
) -> Result<()> {
    let mut run: Option<(u64, u64, T)> = None;
    for (address, what) in pages {
        run = match run {
            Some((start, count, kind))
                if kind == what
                    && address == start + count * PAGE_SIZE
                    && run_length(start, count + 1) > count =>
            {
                Some((start, count + 1, kind))
            }
            Some((start, count, kind)) => {
                work(start, count as u32, kind)?;
                Some((address, 1, what))
            }
            None => Some((address, 1, what)),
        };
    }
    match run {
        Some((start, count, kind)) => work(start, count as u32, kind),
        None => Ok(()),
    }
}
