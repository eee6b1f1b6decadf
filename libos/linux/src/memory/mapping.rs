//! Runs of pages, cut as the kernel wants them: none crosses a multiple of 2 MiB, and no batch has too many pages.

use alloc::vec::Vec;

use exo_abi::address::{BLOCK_FRAMES, BLOCK_SIZE, PAGE_SIZE};
use exo_abi::call::Call;
use exo_abi::map::{LARGE_PAGES, MAP_BATCH, MAP_PAGES_MAX, MapEntry};
use exo_abi::{Capability, Rights};
use exo_rt::gate::{self, Target};

use crate::errno::{Errno, Result};

/// Bytes that one page directory leads to.
const DIRECTORY_BYTES: u64 = 1 << 30;

/// Pages of one environment with which the same is done: in as few calls of the kernel as it takes.
pub struct Batch {
    call: Call,
    target: Target,
    entries: Vec<MapEntry>,
    pages: u64,
}

impl Batch {
    /// Nothing yet, to be mapped in the environment itself or another.
    pub const fn new(target: Target) -> Self {
        Self::of(Call::PageMap, target)
    }

    /// Nothing yet, to be unmapped.
    pub const fn unmapping(target: Target) -> Self {
        Self::of(Call::PageUnmap, target)
    }

    const fn of(call: Call, target: Target) -> Self {
        Self {
            call,
            target,
            entries: Vec::new(),
            pages: 0,
        }
    }

    /// Adds frames `first..first + pages` at `address`, which one capability covers.
    pub fn add(
        &mut self,
        address: u64,
        first: u64,
        pages: u64,
        rights: Rights,
        capability: Capability,
    ) -> Result<()> {
        let entry = entry(address, first, rights.0, capability);
        self.add_entries(entry, pages, (PAGE_SIZE, 1, BLOCK_SIZE))
    }

    /// The same with pages of 2 MiB.
    pub fn add_large(
        &mut self,
        address: u64,
        first: u64,
        pages: u64,
        rights: Rights,
        capability: Capability,
    ) -> Result<()> {
        let entry = entry(address, first, rights.0 | LARGE_PAGES, capability);
        self.add_entries(entry, pages, (BLOCK_SIZE, BLOCK_FRAMES, DIRECTORY_BYTES))
    }

    /// Adds pages of so many bytes and frames, cut where another table begins.
    fn add_entries(
        &mut self,
        mut entry: MapEntry,
        mut pages: u64,
        (bytes, frames, table): (u64, u64, u64),
    ) -> Result<()> {
        while pages != 0 {
            let run = pages
                .min((table - entry.address % table) / bytes)
                .min(MAP_PAGES_MAX);
            if self.pages + run > MAP_PAGES_MAX || self.entries.len() == MAP_BATCH {
                self.flush()?;
            }
            entry.pages = run as u32;
            self.entries.push(entry);
            self.pages += run;
            entry.address += run * bytes;
            entry.frame += run * frames;
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
        // Frames in a row at addresses in a row have the same distance.
        let pages = pages.map(|(address, frame)| {
            let distance = frame.wrapping_sub(address / PAGE_SIZE);
            (address, (distance, capability(frame)))
        });
        for_each_run(pages, |address, count, (distance, capability)| {
            let first = distance.wrapping_add(address / PAGE_SIZE);
            self.add(address, first, count, rights, capability)
        })
    }

    /// Does it with what was added.
    pub fn flush(&mut self) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let done = gate::run_batch_in(self.call, self.target, &self.entries).result();
        self.entries.clear();
        self.pages = 0;
        done.map(drop).map_err(|_| Errno::ENOMEM)
    }
}

/// An entry that has no pages yet.
const fn entry(address: u64, frame: u64, rights: u32, capability: Capability) -> MapEntry {
    MapEntry {
        address,
        frame,
        pages: 0,
        rights,
        capability: capability.0,
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

/// Maps a whole block, readable and writable, at `address`.
pub fn map_block(address: u64, first: u64, capability: Capability) -> Result<()> {
    let mut batch = Batch::new(Target::SELF);
    batch.add_large(address, first, 1, Rights::READ_WRITE, capability)?;
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
    let mut batch = Batch::of(Call::PageProtect, Target::SELF);
    let pages = pages.map(|(address, frame)| (address, capability(frame)));
    for_each_run(pages, |address, pages, capability| {
        batch.add(address, 0, pages, rights, capability)
    })?;
    batch.flush()
}

/// Unmaps pages, given by address, ascending.
pub fn unmap(pages: impl Iterator<Item = u64>) -> Result<()> {
    let mut batch = Batch::unmapping(Target::SELF);
    for_each_run(pages.map(|address| (address, ())), |address, pages, ()| {
        batch.add(address, 0, pages, Rights::NONE, Capability::NONE)
    })?;
    batch.flush()
}

/// Unmaps blocks, given by address, that were mapped whole.
pub fn unmap_blocks(blocks: impl Iterator<Item = u64>) -> Result<()> {
    let mut batch = Batch::unmapping(Target::SELF);
    for address in blocks {
        batch.add_large(address, 0, 1, Rights::NONE, Capability::NONE)?;
    }
    batch.flush()
}

/// Does `work` for each run of neighbouring pages that are alike: first address, pages, what they are.
fn for_each_run<T: PartialEq + Copy>(
    pages: impl Iterator<Item = (u64, T)>,
    mut work: impl FnMut(u64, u64, T) -> Result<()>,
) -> Result<()> {
    let mut run: Option<(u64, u64, T)> = None;
    for (address, what) in pages {
        run = match run {
            Some((start, count, kind)) if kind == what && address == start + count * PAGE_SIZE => {
                Some((start, count + 1, kind))
            }
            Some((start, count, kind)) => {
                work(start, count, kind)?;
                Some((address, 1, what))
            }
            None => Some((address, 1, what)),
        };
    }
    match run {
        Some((start, count, kind)) => work(start, count, kind),
        None => Ok(()),
    }
}
