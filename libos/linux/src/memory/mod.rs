//! The memory of a program: which addresses mean what, and the frames behind them.
//!
//! Three kinds of region. **Arena**: private memory in blocks that were mapped whole, so that having it takes neither a fault nor a call of
//! the kernel. **Lazy**: addresses whose pages are mapped when they are first touched. **Image**: pages of files, mapped when they are
//! touched. Frames are the family's; regions and the arena are one process's.
//!
//! A page may be mapped with fewer rights than its region has, never with more: rights that are added come by the fault that needs them.

pub mod arena;
pub mod attached;
mod blocks;
mod code;
mod description;
pub mod fault;
mod file;
mod fork;
pub mod frames;
pub mod kept;
pub mod mapping;
pub mod moving;
mod program_break;
pub mod region;
mod rights;
pub mod runs;

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::RefCell;
use core::ops::Range;

use exo_abi::Rights;
use exo_abi::address::{BLOCK_FRAMES, BLOCK_SIZE, PAGE_SIZE};
use exo_rt::{family, page_tables, program_memory};

use crate::errno::{Errno, Result};
use crate::place::Places;
use arena::Arena;
use frames::{Capabilities, Frames, Run};
use kept::Kept;
use program_break::Break;
use region::{Kind, Region};

/// Largest anonymous mapping that comes from the arena, whose pages are zeroed at once: larger ones may be reserved and not used.
const ARENA_BYTES_MAX: u64 = BLOCK_SIZE;
/// Where the arena lies. Arena and small lazy regions lie in reach of the table that leads to the program itself: an address space is few
/// page tables.
const ARENA_START: u64 = 0x10_0000_0000;
/// Where small lazy regions lie.
const SMALL: Range<u64> = 0x20_0000_0000..0x7f_0000_0000;
/// Where large ones lie.
const LARGE: Range<u64> = 0x1000_0000_0000..0x3000_0000_0000;
/// Bytes from which on a lazy region is large.
const LARGE_BYTES: u64 = 1 << 30;
/// End (exclusive) of the addresses that can be a program's.
pub const MEMORY_END: u64 = family::VIEWS;

/// Pages of the arena that nobody has and that are kept for who wants some next.
const IDLE_PAGES_MAX: u64 = 16 * BLOCK_FRAMES;

/// All memory of a process.
pub struct Memory {
    /// Free frames of its family.
    pub frames: Rc<RefCell<Frames>>,
    /// The capabilities by which its environment maps them.
    pub capabilities: Capabilities,
    /// Regions by their first address.
    regions: BTreeMap<u64, Region>,
    /// Where the next lazy region is looked for: a small one, and a large one. What was given up is used again first, for the page tables
    /// that lead there stay.
    next_lazy: [u64; 2],
    arena: Arena,
    /// The program break: where it began, where it is, and up to where there is memory.
    program_break: Break,
    /// The page at which the program was last refused what it tried: who then changes its rights will try again.
    refused: Option<u64>,
    /// Blocks that were taken out of the arena because of rights.
    evacuations: u64,
    /// What the program before has left mapped and this one takes, while it is brought into memory.
    kept: Kept,
    /// Whether it is not known what is mapped: a program was not brought into memory as a whole.
    pub is_torn: bool,
    /// Where processes can be, those included whose memory nobody needs.
    places: Rc<RefCell<Places>>,
}

/// Whether a page is mapped.
fn is_present(page: &u64) -> bool {
    page_tables::page_entry(*page).is_some()
}

/// Rounds up to pages; `None` where that overflows.
fn round_up(bytes: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(PAGE_SIZE)
}

impl Memory {
    /// A process without memory.
    pub fn new(frames: Rc<RefCell<Frames>>, places: Rc<RefCell<Places>>) -> Self {
        Self {
            frames,
            capabilities: Capabilities::initial(),
            regions: BTreeMap::new(),
            next_lazy: [SMALL.start, LARGE.start],
            arena: Arena::new(ARENA_START),
            program_break: Break::default(),
            refused: None,
            evacuations: 0,
            kept: Kept::default(),
            is_torn: false,
            places,
        }
    }

    /// Gives all frames back, of a process that uses none of them any more.
    pub fn give_back(&mut self) {
        let regions = core::mem::take(&mut self.regions);
        for frame in regions
            .values()
            .filter(|region| region.kind == Kind::Lazy)
            .flat_map(|region| region.pages.values())
        {
            self.free_frames(*frame, 1);
        }
        for first in self.arena.take_all() {
            self.free_frames(first, BLOCK_FRAMES);
        }
    }

    /// Memory that there is, by ascending address: start, end and rights of runs.
    pub fn runs(&self) -> impl Iterator<Item = (u64, u64, Rights)> {
        self.regions.iter().flat_map(|(&start, region)| {
            let whole = (region.kind == Kind::Arena).then_some((start, region.end));
            let pages = region.pages.keys().map(|&page| (page, page + PAGE_SIZE));
            whole
                .into_iter()
                .chain(pages)
                .map(|(start, end)| (start, end, region.rights))
        })
    }

    /// Anonymous private memory at an address of our choice, zeroed. Dense: most of it will be used.
    pub fn map_anonymous(&mut self, bytes: u64, rights: Rights, is_dense: bool) -> Result {
        let bytes = round_up(bytes).filter(|&bytes| bytes != 0);
        let bytes = bytes.ok_or(Errno::EINVAL)?;
        if is_dense && rights.contains(Rights::WRITE) && self.frames.borrow().is_beyond(bytes) {
            return Err(Errno::ENOMEM);
        }
        if rights == Rights::READ_WRITE
            && bytes <= ARENA_BYTES_MAX
            && self.prefers_arena()
            && let Some(start) = self.take_arena(bytes)
        {
            self.regions
                .insert(start, Region::new(start + bytes, rights, Kind::Arena));
            return Ok(start);
        }
        let start = self.map_lazy(bytes, rights)?;
        if let Some(region) = self.regions.get_mut(&start) {
            region.is_dense = is_dense;
        }
        Ok(start)
    }

    /// Takes frames that read as zero, and maps them; the number of the first.
    fn map_clean(&mut self, start: u64, pages: u64, rights: Rights) -> Option<u64> {
        let first = self.take_frames(pages)?;
        let mapped = mapping::map(start, first, pages, rights, |frame| {
            self.capabilities.of(frame)
        });
        if mapped.is_err() {
            self.free_frames(first, pages);
            return None;
        }
        Some(first)
    }

    /// Takes contiguous frames that read as zero; the number of the first.
    pub fn take_frames(&mut self, count: u64) -> Option<u64> {
        let run = self.take_run(count)?;
        if !run.is_clean {
            program_memory::zero(self.view(run.first), count * PAGE_SIZE).ok()?;
        }
        Some(run.first)
    }

    /// Takes contiguous frames, if need be those behind pages that nobody has.
    fn take_run(&mut self, count: u64) -> Option<Run> {
        let Self {
            frames,
            capabilities,
            ..
        } = self;
        let taken = frames.borrow_mut().take(count, capabilities);
        taken.or_else(|| {
            self.give_idle_blocks(0, MEMORY_END);
            loop {
                let taken = self.frames.borrow_mut().take(count, &mut self.capabilities);
                if taken.is_some() || !self.take_from_parked() {
                    return taken;
                }
            }
        })
    }

    /// Gives frames back.
    fn free_frames(&self, first: u64, count: u64) {
        self.frames
            .borrow_mut()
            .free(first, count, &self.capabilities);
    }

    /// Where a frame that was taken can be read and written, and those behind it that were taken with it.
    pub fn view(&self, frame: u64) -> u64 {
        family::view(frame)
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
        self.evacuate(start, end)?;
        self.unmap(start, end - start)?;
        let region = Region {
            is_dense: true,
            ..Region::new(end, rights, Kind::Lazy)
        };
        self.regions.insert(start, region);
        Ok(start)
    }

    /// Anonymous private memory that grows down to what is touched below it.
    pub fn map_growing(&mut self, place: Option<u64>, bytes: u64, rights: Rights) -> Result {
        let rounded = round_up(bytes).filter(|&bytes| bytes != 0);
        let rounded = rounded.ok_or(Errno::EINVAL)?;
        let start = match place {
            Some(start) => self.map_anonymous_at(start, rounded, rights)?,
            None => self.map_lazy(rounded, rights)?,
        };
        if let Some(region) = self.regions.get_mut(&start) {
            region.is_dense = false;
            region.grows_down = true;
        }
        Ok(start)
    }

    /// Whether a range may be mapped: page aligned, in the program range; its end.
    fn check_range(&self, start: u64, bytes: u64) -> Result {
        let end = round_up(bytes)
            .and_then(|bytes| start.checked_add(bytes))
            .ok_or(Errno::EINVAL)?;
        if !start.is_multiple_of(PAGE_SIZE) || end == start {
            return Err(Errno::EINVAL);
        }
        if start < exo_abi::address::PROGRAM_BASE || end > LARGE.end {
            return Err(Errno::ENOMEM);
        }
        Ok(end)
    }

    /// Addresses for a lazy region.
    fn find_lazy(&mut self, bytes: u64) -> Option<u64> {
        let (index, range) = match bytes {
            LARGE_BYTES.. => (1, LARGE),
            _ => (0, SMALL),
        };
        let next = *self.next_lazy.get(index)?;
        let start = self
            .find_gap(next..range.end, bytes)
            .or_else(|| self.find_gap(range, bytes))?;
        *self.next_lazy.get_mut(index)? = start + bytes + PAGE_SIZE;
        Some(start)
    }

    /// Addresses in a range that neither a region nor the arena has, with one page before the next, so that running over their end faults.
    /// What is so large that blocks fit in begins where one does.
    fn find_gap(&self, range: Range<u64>, bytes: u64) -> Option<u64> {
        let wanted = bytes.checked_add(PAGE_SIZE)?;
        let step = match bytes {
            BLOCK_SIZE.. => BLOCK_SIZE,
            _ => PAGE_SIZE,
        };
        let mut start = range.start.checked_next_multiple_of(step)?;
        let mut regions = self.regions.range(range.clone()).peekable();
        loop {
            let end = start.checked_add(wanted)?;
            if end > range.end {
                return None;
            }
            if let Some((_, region)) = regions.next_if(|&(&first, _)| first < end) {
                let behind = (region.end + PAGE_SIZE).next_multiple_of(step);
                start = start.max(behind);
            } else if let Some((block, _)) = self.arena.blocks(start, end).last() {
                start = (block + 1) * BLOCK_SIZE;
            } else {
                return Some(start);
            }
        }
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
            for (next, range) in self.next_lazy.iter_mut().zip([SMALL, LARGE]) {
                if range.contains(&first) {
                    *next = first.min(*next);
                }
            }
        }
        if self.arena.free_count() > IDLE_PAGES_MAX {
            self.give_idle_blocks(start, end);
        }
        Ok(())
    }

    /// Gives the memory of a region back.
    fn release(&mut self, start: u64, region: &Region) -> Result<()> {
        match region.kind {
            Kind::Arena => {
                let pages = (region.end - start) / PAGE_SIZE;
                self.arena.free(start, pages, false);
            }
            Kind::Lazy => {
                self.unmap_pages(region)?;
                for &frame in region.pages.values() {
                    self.free_frames(frame, 1);
                }
            }
            Kind::Image => self.unmap_pages(region)?,
        }
        Ok(())
    }

    /// Unmaps the pages of a region that are mapped.
    fn unmap_pages(&self, region: &Region) -> Result<()> {
        match region.rights {
            Rights::NONE => Ok(()),
            _ => mapping::unmap(region.pages.keys().copied().filter(is_present)),
        }
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

    /// Whether an address means something, whatever may be done there.
    pub fn knows(&self, address: u64) -> bool {
        self.region(address).is_some()
    }
}
