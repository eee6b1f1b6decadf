//! Page faults of the program: what is mapped when it is first touched, and rights that come when they are needed.

use exo_abi::Rights;
use exo_abi::address::{BLOCK_SIZE, PAGE_SIZE};
use exo_abi::page_entry::{NO_EXECUTE, PageEntry, WRITE};
use exo_rt::page_tables;

use super::region::{Kind, Region};
use super::{Memory, is_present, mapping};
use crate::errno::Result;

/// Pages that a fault maps at once.
pub(super) const FAULT_PAGES: u64 = 16;
/// Pages that a fault maps at once where the frames are there already.
const IMAGE_PAGES: u64 = 32;

/// What a page is mapped for.
pub(super) fn rights_of(entry: PageEntry) -> Rights {
    let write = match entry.has(WRITE) {
        true => Rights::READ_WRITE,
        false => Rights::READ,
    };
    match entry.has(NO_EXECUTE) {
        true => write,
        false => write.union(Rights::EXECUTE),
    }
}

/// How far what grows down does at once: the limit of stacks.
const GROWTH_MAX: u64 = 8 << 20;
/// Pages below what grows down that nothing else may have (linux, mm/mmap.c, `stack_guard_gap`).
const GUARD_PAGES: u64 = 256;

/// What a page fault tried: error code of the Intel SDM, volume 3, section 5.7.
pub const fn needed_by(error_code: u64) -> Rights {
    match (error_code & 2 != 0, error_code & 16 != 0) {
        (true, _) => Rights::WRITE,
        (_, true) => Rights::EXECUTE,
        _ => Rights::READ,
    }
}

impl Memory {
    /// Maps what a fault at `address` needs; false where the program may not do what it did.
    pub fn handle_fault(&mut self, address: u64, write: bool, fetch: bool) -> bool {
        let needed = match (write, fetch) {
            (true, _) => Rights::WRITE,
            (_, true) => Rights::EXECUTE,
            _ => Rights::READ,
        };
        let page = address & !(PAGE_SIZE - 1);
        let handled = self.bring(page, needed);
        if !handled {
            self.refused = Some(page);
        }
        handled
    }

    /// Has a page mapped with the rights that its region has, if these are enough.
    pub(super) fn bring(&mut self, page: u64, needed: Rights) -> bool {
        if !self.knows(page) {
            self.grow_down(page);
        }
        let Some((start, region)) = self.region(page) else {
            return false;
        };
        if region.kind == Kind::Arena
            || region.rights == Rights::NONE
            || !region.rights.contains(needed)
        {
            return false;
        }
        if let Some(entry) = page_tables::page_entry(page) {
            return !rights_of(entry).contains(needed) && self.raise_rights(page, region).is_ok();
        }
        if region.pages.contains_key(&page) {
            return self.map_neighbours(page, region).is_ok();
        }
        if let Some(shown) = region.file.clone() {
            return self.show(start, page, &shown).is_ok();
        }
        if region.rights == Rights::READ_WRITE && self.bring_block(page) {
            return true;
        }
        self.bring_pages(start, page).is_some()
    }

    /// Has the region above a page that nothing has grow down to it, if it does so.
    fn grow_down(&mut self, page: u64) {
        let above = self.regions.range(page..).next();
        let Some((&start, _)) = above.filter(|(_, region)| region.grows_down) else {
            return;
        };
        let guard = page.saturating_sub(GUARD_PAGES * PAGE_SIZE);
        if start - page > GROWTH_MAX || self.has_any(guard, start - guard) {
            return;
        }
        if let Some(region) = self.regions.remove(&start) {
            self.regions.insert(page, region);
        }
    }

    /// Has all pages of a range mapped, if these rights are enough; whether they are.
    pub fn populate(&mut self, start: u64, end: u64, needed: Rights) -> bool {
        (start..end)
            .step_by(PAGE_SIZE as usize)
            .all(|page| match page_tables::page_entry(page) {
                Some(entry) if rights_of(entry).contains(needed) => true,
                _ => self.bring(page, needed),
            })
    }

    /// Maps a page of a lazy region, and neighbours, as far as they are not there and lie in the same page table.
    fn bring_pages(&mut self, start: u64, page: u64) -> Option<()> {
        let region = self.regions.get(&start)?;
        let (end, rights) = (region.end, region.rights);
        let table_end = (page | (BLOCK_SIZE - 1)) + 1;
        let limit = end.min(table_end).min(page + FAULT_PAGES * PAGE_SIZE);
        let next = region.pages.range(page..).next();
        let limit = next.map_or(limit, |(&next, _)| limit.min(next));
        let pages = (limit - page) / PAGE_SIZE;
        // Where frames are few, one has to do.
        let (first, pages) = match self.map_clean(page, pages, rights) {
            Some(first) => (first, pages),
            None => (self.map_clean(page, 1, rights)?, 1),
        };
        let region = self.regions.get_mut(&start)?;
        region
            .pages
            .extend((0..pages).map(|number| (page + number * PAGE_SIZE, first + number)));
        Some(())
    }

    /// Maps a page that has a frame, and those behind it that have one too.
    fn map_neighbours(&self, page: u64, region: &Region) -> Result<()> {
        let absent = Self::neighbours(page, region).take_while(|(address, _)| !is_present(address));
        mapping::map_pages(absent, region.rights, |frame| self.capabilities.of(frame))
    }

    /// Gives a mapped page all rights that its region has, and those behind it that have as few.
    fn raise_rights(&self, page: u64, region: &Region) -> Result<()> {
        let lacking = Self::neighbours(page, region).take_while(|&(address, _)| {
            let entry = page_tables::page_entry(address);
            entry.is_some_and(|entry| !rights_of(entry).contains(region.rights))
        });
        mapping::protect(lacking, region.rights, |frame| self.capabilities.of(frame))
    }

    fn neighbours(page: u64, region: &Region) -> impl Iterator<Item = (u64, u64)> {
        let pages = region.pages.range(page..page + IMAGE_PAGES * PAGE_SIZE);
        pages.map(|(&address, &frame)| (address, frame))
    }
}
