//! Code that the rewriter changes for one process alone.

use core::ops::Range;

use exo_abi::Rights;
use exo_abi::address::{PAGE_SIZE, PROGRAM_BASE};
use exo_rt::program_memory;

use super::region::{Kind, Region};
use super::{LARGE, Memory, is_present, mapping};
use crate::errno::{Errno, Result};

impl Memory {
    /// The frame of the page of code at `page`, which the process executes and may not write, and which nobody else sees: if need be a
    /// copy of its own. `None` where there is no such page.
    pub fn own_code(&mut self, page: u64) -> Option<u64> {
        let (_, region) = self.region(page)?;
        let rights = region.rights;
        if !rights.contains(Rights::EXECUTE) || rights.contains(Rights::WRITE) {
            return None;
        }
        let frame = region.pages.get(&page).copied();
        if region.kind == Kind::Lazy {
            return frame;
        }
        // What is shared may be written by others, and what was loaded is all processes'.
        region.file.as_ref().filter(|shown| !shown.is_shared)?;
        if !is_present(&page) {
            return None;
        }
        let own = self.take_frames(1)?;
        let done = program_memory::copy(page, self.view(own), PAGE_SIZE)
            .map_err(Errno::from)
            .and_then(|()| mapping::unmap([page].into_iter()))
            .and_then(|()| mapping::map(page, own, 1, rights, |frame| self.capabilities.of(frame)));
        if done.is_err() {
            self.free_frames(own, 1);
            return None;
        }
        self.cut(page);
        self.cut(page + PAGE_SIZE);
        let region = self.regions.get_mut(&page)?;
        region.kind = Kind::Lazy;
        region.pages.insert(page, own);
        Some(own)
    }

    /// The code around an address that is there, some pages on either side at most.
    pub fn code_around(&mut self, address: u64, pages: u64) -> (u64, u64) {
        let page = address & !(PAGE_SIZE - 1);
        let (first, end) = match self.region(page) {
            Some((start, region)) => (start, region.end),
            None => (page, page + PAGE_SIZE),
        };
        // Most sites need no more than this to be certain.
        if page > first && !is_present(&(page - PAGE_SIZE)) {
            self.handle_fault(page - PAGE_SIZE, false, true);
        }
        let distance = pages * PAGE_SIZE;
        let (lowest, highest) = (
            first.max(page.saturating_sub(distance)),
            end.min(page + distance),
        );
        let mut start = page;
        while start > lowest && is_present(&(start - PAGE_SIZE)) {
            start -= PAGE_SIZE;
        }
        let mut end = page + PAGE_SIZE;
        while end < highest && is_present(&end) {
            end += PAGE_SIZE;
        }
        (start, end)
    }

    /// Pages for code of ours, in a range of addresses; the first address.
    pub fn map_near(&mut self, range: Range<u64>, pages: u64) -> Result {
        let start = range.start.max(PROGRAM_BASE).next_multiple_of(PAGE_SIZE);
        let range = start..range.end.min(LARGE.end);
        let start = self
            .find_gap(range, pages * PAGE_SIZE)
            .ok_or(Errno::ENOMEM)?;
        let first = self.take_frames(pages).ok_or(Errno::ENOMEM)?;
        let rights = Rights::READ_EXECUTE;
        let mapped = mapping::map(start, first, pages, rights, |frame| {
            self.capabilities.of(frame)
        });
        if let Err(error) = mapped {
            self.free_frames(first, pages);
            return Err(error);
        }
        let mut region = Region::new(start + pages * PAGE_SIZE, rights, Kind::Lazy);
        region
            .pages
            .extend((0..pages).map(|page| (start + page * PAGE_SIZE, first + page)));
        self.regions.insert(start, region);
        Ok(start)
    }
}
