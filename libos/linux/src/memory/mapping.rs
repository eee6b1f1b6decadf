//! Runs of pages, cut as the kernel wants them: none crosses a multiple of 2 MiB, and no batch has too many pages.

use alloc::vec::Vec;

use exo_abi::address::{BLOCK_SIZE, PAGE_SIZE};
use exo_abi::map::{MAP_BATCH, MAP_PAGES_MAX, MapEntry};
use exo_abi::{Capability, Rights};
use exo_rt::gate::{self, Target};

use crate::errno::{Errno, Result};

/// Pages that can be mapped together at `address`.
fn run_length(address: u64, pages: u64) -> u64 {
    pages.min((BLOCK_SIZE - address % BLOCK_SIZE) / PAGE_SIZE)
}

/// Pages that are mapped together, of one environment: as few calls of the kernel as it takes.
pub struct Batch {
    target: Target,
    entries: Vec<MapEntry>,
    pages: u64,
}

impl Batch {
    /// Nothing yet, for the environment itself or another.
    pub const fn new(target: Target) -> Self {
        Self {
            target,
            entries: Vec::new(),
            pages: 0,
        }
    }

    /// Adds frames `first..first + pages` at `address`, which one capability covers.
    pub fn add(
        &mut self,
        mut address: u64,
        mut first: u64,
        mut pages: u64,
        rights: Rights,
        capability: Capability,
    ) -> Result<()> {
        while pages != 0 {
            let run = run_length(address, pages);
            if self.pages + run > MAP_PAGES_MAX || self.entries.len() == MAP_BATCH {
                self.flush()?;
            }
            self.entries.push(MapEntry {
                address,
                frame: first,
                pages: run as u32,
                rights: rights.0,
                capability: capability.0,
            });
            self.pages += run;
            address += run * PAGE_SIZE;
            first += run;
            pages -= run;
        }
        Ok(())
    }

    /// Adds pages given by address and frame, ascending.
    pub fn add_pages(
        &mut self,
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
                    self.add(start, first, count, rights, capability(first))?;
                    Some((address, frame, 1))
                }
                None => Some((address, frame, 1)),
            };
        }
        match run {
            Some((start, first, count)) => self.add(start, first, count, rights, capability(first)),
            None => Ok(()),
        }
    }

    /// Maps what was added.
    pub fn flush(&mut self) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let done = gate::page_map_in(self.target, &self.entries);
        self.entries.clear();
        self.pages = 0;
        done.map(drop).map_err(|_| Errno::ENOMEM)
    }
}

/// Maps frames `first..first + pages` at `address`. `capability` tells which covers a frame.
pub fn map(
    address: u64,
    first: u64,
    pages: u64,
    rights: Rights,
    capability: impl Fn(u64) -> Capability,
) -> Result<()> {
    let mut batch = Batch::new(Target::SELF);
    batch.add(address, first, pages, rights, capability(first))?;
    batch.flush()
}

/// Maps pages that have frames already, given by address and frame, ascending.
pub fn map_pages(
    pages: impl Iterator<Item = (u64, u64)>,
    rights: Rights,
    capability: impl Fn(u64) -> Capability,
) -> Result<()> {
    let mut batch = Batch::new(Target::SELF);
    batch.add_pages(pages, rights, capability)?;
    batch.flush()
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
