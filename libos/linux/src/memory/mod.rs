//! The memory of a program: which addresses mean what, and the frames behind them.
//!
//! Three kinds of region. **Window**: private memory that the frame window shows already, so that having it takes neither a fault nor
//! a call of the kernel. **Lazy**: addresses whose pages are mapped when they are first touched. **Image**: pages of the program's
//! file, mapped when it is loaded.

pub mod frames;
pub mod mapping;
pub mod region;

use alloc::collections::BTreeMap;

use exo_abi::Rights;
use exo_abi::address::{FRAME_WINDOW, FRAME_WINDOW_SIZE, PAGE_SIZE};
use exo_rt::window;

use crate::errno::{Errno, Result};
use frames::Frames;
use region::{Kind, Region};

/// Largest anonymous mapping that comes from the frame window: larger ones are mostly reserved and not used.
const WINDOW_BYTES_MAX: u64 = 32 << 20;
/// Bytes of the program break's region.
const BREAK_BYTES: u64 = 16 << 20;
/// Where lazy regions lie.
const LAZY_START: u64 = 0x1000_0000_0000;
/// Their end, exclusive.
const LAZY_END: u64 = 0x2000_0000_0000;
/// Pages that a fault maps at once.
const FAULT_PAGES: u64 = 16;

/// All memory of a program.
pub struct Memory {
    /// Frames of this environment that are the program's.
    pub frames: Frames,
    /// Regions by their first address.
    regions: BTreeMap<u64, Region>,
    /// Where the next lazy region is looked for.
    next_lazy: u64,
    /// The program break: its region's start, and the break.
    program_break: (u64, u64),
}

/// Rounds up to pages; `None` where that overflows.
fn round_up(bytes: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(PAGE_SIZE)
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            frames: Frames::default(),
            regions: BTreeMap::new(),
            next_lazy: LAZY_START,
            program_break: (0, 0),
        }
    }
}

impl Memory {
    /// Anonymous private memory at an address of our choice, zeroed.
    pub fn map_anonymous(&mut self, bytes: u64, rights: Rights) -> Result {
        let bytes = round_up(bytes).filter(|&bytes| bytes != 0);
        let bytes = bytes.ok_or(Errno::EINVAL)?;
        if rights == Rights::READ_WRITE && bytes <= WINDOW_BYTES_MAX {
            let first = self
                .frames
                .allocate(bytes / PAGE_SIZE)
                .ok_or(Errno::ENOMEM)?;
            let start = window::address_of(first);
            self.regions
                .insert(start, Region::new(start + bytes, rights, Kind::Window));
            return Ok(start);
        }
        self.map_lazy(bytes, rights)
    }

    /// The same, always lazy: `bytes` is a multiple of a page.
    pub fn map_lazy(&mut self, bytes: u64, rights: Rights) -> Result {
        let start = self.find_lazy(bytes).ok_or(Errno::ENOMEM)?;
        let lazy = Region::new(start + bytes, rights, Kind::Lazy);
        self.regions.insert(start, lazy);
        Ok(start)
    }

    /// Anonymous private memory at `start`, in place of what is there.
    pub fn map_anonymous_at(&mut self, start: u64, bytes: u64, rights: Rights) -> Result {
        let end = self.check_range(start, bytes)?;
        self.unmap(start, end - start)?;
        self.regions
            .insert(start, Region::new(end, rights, Kind::Lazy));
        Ok(start)
    }

    /// Pages whose frames are there already, at `start`, where nothing is.
    pub fn map_frames(
        &mut self,
        start: u64,
        first: u64,
        pages: u64,
        rights: Rights,
        kind: Kind,
    ) -> Result<()> {
        mapping::map(start, first, pages, rights, |frame| {
            self.frames.capability(frame)
        })?;
        let mut region = Region::new(start + pages * PAGE_SIZE, rights, kind);
        region
            .pages
            .extend((0..pages).map(|page| (start + page * PAGE_SIZE, first + page)));
        self.regions.insert(start, region);
        Ok(())
    }

    /// Whether a range may be mapped: page aligned, in the program range; its end.
    fn check_range(&self, start: u64, bytes: u64) -> Result {
        let end = round_up(bytes)
            .and_then(|bytes| start.checked_add(bytes))
            .ok_or(Errno::EINVAL)?;
        if !start.is_multiple_of(PAGE_SIZE) || end == start {
            return Err(Errno::EINVAL);
        }
        if start < exo_abi::address::PROGRAM_BASE || end > LAZY_END {
            return Err(Errno::ENOMEM);
        }
        Ok(end)
    }

    /// Addresses for a lazy region.
    fn find_lazy(&mut self, bytes: u64) -> Option<u64> {
        // One page between regions, so that running over the end of one faults.
        let start = self.next_lazy;
        let end = start.checked_add(bytes)?.checked_add(PAGE_SIZE)?;
        if end > LAZY_END {
            return None;
        }
        self.next_lazy = end;
        Some(start)
    }

    /// Takes away what is mapped in a range; where nothing is, nothing happens.
    pub fn unmap(&mut self, start: u64, bytes: u64) -> Result<()> {
        let end = round_up(bytes)
            .and_then(|bytes| start.checked_add(bytes))
            .ok_or(Errno::EINVAL)?;
        if !start.is_multiple_of(PAGE_SIZE) || end == start {
            return Err(Errno::EINVAL);
        }
        self.cut(start);
        self.cut(end);
        while let Some((&first, _)) = self.regions.range(start..end).next() {
            let Some(region) = self.regions.remove(&first) else {
                break;
            };
            self.release(first, &region)?;
        }
        Ok(())
    }

    /// Gives the frames of a region back.
    fn release(&mut self, start: u64, region: &Region) -> Result<()> {
        match region.kind {
            Kind::Window => {
                let first = (start - FRAME_WINDOW) / PAGE_SIZE;
                self.frames.free(first, (region.end - start) / PAGE_SIZE);
            }
            Kind::Lazy => {
                mapping::unmap(region.pages.keys().copied())?;
                for &frame in region.pages.values() {
                    self.frames.free(frame, 1);
                }
            }
            Kind::Image => mapping::unmap(region.pages.keys().copied())?,
        }
        Ok(())
    }

    /// Makes `address` the border of two regions, if it is inside one.
    fn cut(&mut self, address: u64) {
        let Some((_, region)) = self.regions.range_mut(..address).next_back() else {
            return;
        };
        if let Some(upper) = region.split_off(address) {
            self.regions.insert(address, upper);
        }
    }

    /// Changes rights. Window memory stays readable and writable: it can only lose rights that nobody misses.
    pub fn protect(&mut self, start: u64, bytes: u64, rights: Rights) -> Result<()> {
        let end = round_up(bytes)
            .and_then(|bytes| start.checked_add(bytes))
            .ok_or(Errno::ENOMEM)?;
        if !start.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        if !self.is_mapped(start, end) {
            return Err(Errno::ENOMEM);
        }
        self.cut(start);
        self.cut(end);
        for region in self.regions.range_mut(start..end).map(|(_, region)| region) {
            if region.kind == Kind::Window {
                if rights.contains(Rights::EXECUTE) {
                    return Err(Errno::EACCES);
                }
                continue;
            }
            region.rights = rights;
            let pages = region
                .pages
                .iter()
                .map(|(&address, &frame)| (address, frame));
            mapping::protect(pages, rights, |frame| self.frames.capability(frame))?;
        }
        Ok(())
    }

    /// Whether every address of a range is in some region.
    fn is_mapped(&self, start: u64, end: u64) -> bool {
        let mut next = start;
        while next < end {
            match self.region(next) {
                Some((_, region)) => next = region.end,
                None => return false,
            }
        }
        true
    }

    /// The region that holds an address, and where it starts.
    fn region(&self, address: u64) -> Option<(u64, &Region)> {
        let (&start, region) = self.regions.range(..=address).next_back()?;
        (address < region.end).then_some((start, region))
    }

    /// Maps what a fault at `address` needs; false where the program may not do what it did.
    pub fn handle_fault(&mut self, address: u64, write: bool, fetch: bool) -> bool {
        let page = address & !(PAGE_SIZE - 1);
        let Some((start, region)) = self.region(page) else {
            return false;
        };
        let needed = match (write, fetch) {
            (true, _) => Rights::WRITE,
            (_, true) => Rights::EXECUTE,
            _ => Rights::READ,
        };
        if region.kind != Kind::Lazy
            || !region.rights.contains(needed)
            || region.pages.contains_key(&page)
        {
            return false;
        }
        let (end, rights) = (region.end, region.rights);
        // Neighbours come along, as far as they are not there and lie in the same page table.
        let table_end = (page | (exo_abi::address::BLOCK_SIZE - 1)) + 1;
        let limit = end.min(table_end).min(page + FAULT_PAGES * PAGE_SIZE);
        let limit = region
            .pages
            .range(page..)
            .next()
            .map_or(limit, |(&next, _)| limit.min(next));
        let pages = (limit - page) / PAGE_SIZE;
        let Some(first) = self.frames.allocate(pages) else {
            return false;
        };
        let capability = self.frames.capability(first);
        if mapping::map(page, first, pages, rights, |_| capability).is_err() {
            self.frames.free(first, pages);
            return false;
        }
        if let Some(region) = self.regions.get_mut(&start) {
            region
                .pages
                .extend((0..pages).map(|number| (page + number * PAGE_SIZE, first + number)));
        }
        true
    }

    /// Moves the program break; gives where it is then.
    pub fn set_break(&mut self, wanted: u64) -> u64 {
        let (start, current) = self.program_break;
        if start == 0 {
            let Ok(start) = self.map_anonymous(BREAK_BYTES, Rights::READ_WRITE) else {
                return 0;
            };
            self.program_break = (start, start);
            return start;
        }
        if (start..=start + BREAK_BYTES).contains(&wanted) {
            if wanted < current {
                // What comes back later is zero.
                let _ = exo_rt::program_memory::zero(wanted, current - wanted);
            }
            self.program_break.1 = wanted;
        }
        self.program_break.1
    }

    /// Whether an address is one of the frame window.
    pub fn is_window(address: u64) -> bool {
        (FRAME_WINDOW..FRAME_WINDOW + FRAME_WINDOW_SIZE).contains(&address)
    }
}
