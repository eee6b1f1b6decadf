//! One page table: what is mapped in it, and changes of a run.

use exo_abi::address::{PAGE_SHIFT, PAGE_SIZE};
use exo_abi::{Error, Rights};

use super::{ADDRESS, DEVICE, PRESENT, index_at, leaf_flags, read, write};
use crate::hw::registers::flush_page;

/// What a leaf entry says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Frame number.
    pub frame: u64,
    /// Whether it is a device's page.
    pub device: bool,
}

impl Page {
    fn of(entry: u64) -> Self {
        Self {
            frame: (entry & ADDRESS) >> PAGE_SHIFT,
            device: entry & DEVICE != 0,
        }
    }
}

/// A page table, by physical address. Runs (`address`, `pages`) do not leave the 2 MiB that it maps.
#[derive(Clone, Copy)]
pub struct PageTable(pub(super) u64);

impl PageTable {
    /// Refuses a run in which something is mapped.
    pub fn check_absent(self, address: u64, pages: u64) -> Result<(), Error> {
        let first = index_at(address, 0);
        for index in first..first + pages {
            if read(self.0, index) & PRESENT != 0 {
                return Err(Error::InUse);
            }
        }
        Ok(())
    }

    /// Maps a run that was checked to be absent.
    pub fn map(self, address: u64, frame: u64, pages: u64, flags: u64) {
        let first = index_at(address, 0);
        let mut entry = frame << PAGE_SHIFT | flags;
        for index in first..first + pages {
            write(self.0, index, entry);
            entry += PAGE_SIZE;
        }
    }

    /// Refuses a run in which a page is not mapped, or is not acceptable.
    pub fn check_present(
        self,
        address: u64,
        pages: u64,
        mut accept: impl FnMut(Page) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let first = index_at(address, 0);
        for index in first..first + pages {
            let entry = read(self.0, index);
            if entry & PRESENT == 0 {
                return Err(Error::NotMapped);
            }
            accept(Page::of(entry))?;
        }
        Ok(())
    }

    /// Gives a checked run other rights.
    pub fn protect(self, address: u64, pages: u64, rights: Rights) {
        let first = index_at(address, 0);
        for page in 0..pages {
            let entry = read(self.0, first + page);
            let flags = leaf_flags(rights, entry & DEVICE != 0);
            write(self.0, first + page, entry & ADDRESS | flags);
            flush_page(address + page * PAGE_SIZE);
        }
    }

    /// Unmaps what is mapped of a run, telling each page.
    pub fn unmap(self, address: u64, pages: u64, mut gone: impl FnMut(Page)) {
        let first = index_at(address, 0);
        for page in 0..pages {
            let entry = read(self.0, first + page);
            if entry & PRESENT != 0 {
                write(self.0, first + page, 0);
                flush_page(address + page * PAGE_SIZE);
                gone(Page::of(entry));
            }
        }
    }
}
