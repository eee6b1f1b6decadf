//! Page tables of environments (Intel SDM volume 3, section 5.5).
//!
//! A run is checked whole (`check_*`) before it is changed (`map`, `protect`, `unmap`). Tables come from a pool in the
//! kernel's memory, zeroed; an environment keeps the tables it got until it ends.

use exo_abi::address::{
    BLOCK_FRAMES, BLOCK_SIZE, EXPORTED_TABLES, FRAME_WINDOW, INTERFACE_PAGE, KERNEL_BASE,
    PAGE_SHIFT, PAGE_SIZE,
};
use exo_abi::layout::Table;
use exo_abi::{Error, Rights};

use super::memory;
use super::registers::flush_page;

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const UNCACHED: u64 = 1 << 3 | 1 << 4;
const LARGE: u64 = 1 << 7;
/// Ignored by the CPU: the page is a device's.
const DEVICE: u64 = 1 << 9;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Entry of a table that leads to another table: the leaf decides.
const TABLE: u64 = PRESENT | WRITE | USER;

/// Index of `address` in a table of `level`: 0 is the page table, 3 the root.
const fn index_at(address: u64, level: u32) -> u64 {
    (address >> (PAGE_SHIFT + 9 * level)) & 511
}

fn slot(table: u64, index: u64) -> *mut u64 {
    (KERNEL_BASE + table + index * 8) as *mut u64
}

fn read(table: u64, index: u64) -> u64 {
    // SAFETY: `table` came from the pool, whose memory the kernel maps, and the index is below 512; the CPU may write
    // accessed and dirty bits meanwhile.
    unsafe { slot(table, index).read_volatile() }
}

fn write(table: u64, index: u64, entry: u64) {
    // SAFETY: as above; the lock of the kernel is held.
    unsafe { slot(table, index).write_volatile(entry) }
}

/// Frames for page tables.
pub struct TablePool {
    next: u64,
    end: u64,
    /// Emptied table, whose first word is the address of another one; 0 ends the list.
    emptied: u64,
}

impl TablePool {
    /// All frames of `table`, which are zero.
    pub fn new(table: Table) -> Self {
        Self {
            next: table.start,
            end: table.start + table.count * PAGE_SIZE,
            emptied: 0,
        }
    }

    /// A zeroed table. The quotas of all environments together are the pool, so who is within its quota gets one.
    fn take(&mut self) -> u64 {
        if self.emptied != 0 {
            let table = self.emptied;
            self.emptied = read(table, 0);
            write(table, 0, 0);
            return table;
        }
        let table = self.next;
        debug_assert!(table < self.end);
        self.next += PAGE_SIZE;
        table
    }

    fn put_back(&mut self, table: u64) {
        write(table, 0, self.emptied);
        self.emptied = table;
    }
}

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

/// Flags of a leaf entry.
pub fn leaf_flags(rights: Rights, device: bool) -> u64 {
    let mut flags = PRESENT | USER;
    if rights.contains(Rights::WRITE) {
        flags |= WRITE;
    }
    if !rights.contains(Rights::EXECUTE) {
        flags |= NO_EXECUTE;
    }
    if device {
        flags |= DEVICE | UNCACHED;
    }
    flags
}

/// The page tables of one environment.
#[derive(Clone, Copy)]
pub struct AddressSpace {
    root: u64,
}

impl AddressSpace {
    /// None yet.
    pub const NONE: Self = Self { root: 0 };

    /// A space with the kernel and the shared part, and the two environment pages at `pages` (physical). Takes 4 tables.
    pub fn new(pool: &mut TablePool, pages: u64, charge: &mut dyn FnMut()) -> Self {
        charge();
        let space = Self { root: pool.take() };
        write(
            space.root,
            511,
            memory::kernel_directories_address() | PRESENT | WRITE,
        );
        write(
            space.root,
            index_at(INTERFACE_PAGE, 3),
            memory::shared_directories_address() | PRESENT | USER,
        );
        let address = exo_abi::address::ENVIRONMENT_PAGE;
        let table = space.reach(pool, address, 0, charge);
        write(
            table,
            index_at(address, 0),
            pages | leaf_flags(Rights::READ, false),
        );
        write(
            table,
            index_at(address, 0) + 1,
            (pages + PAGE_SIZE) | leaf_flags(Rights::READ_WRITE, false),
        );
        space
    }

    /// Physical address of the root.
    pub fn root(self) -> u64 {
        self.root
    }

    /// The table of `level` for `address`, or how many tables are missing down to it.
    fn find(self, address: u64, level: u32) -> Result<u64, u32> {
        let mut table = self.root;
        for upper in (level + 1..=3).rev() {
            let entry = read(table, index_at(address, upper));
            if entry & PRESENT == 0 {
                return Err(upper - level);
            }
            table = entry & ADDRESS;
        }
        Ok(table)
    }

    /// The table of `level` for `address`, made where missing.
    fn reach(
        self,
        pool: &mut TablePool,
        address: u64,
        level: u32,
        charge: &mut dyn FnMut(),
    ) -> u64 {
        let mut table = self.root;
        for upper in (level + 1..=3).rev() {
            let index = index_at(address, upper);
            let entry = read(table, index);
            table = if entry & PRESENT == 0 {
                charge();
                let fresh = pool.take();
                write(table, index, fresh | TABLE);
                fresh
            } else {
                entry & ADDRESS
            };
        }
        table
    }

    /// Calls `each` with table and index of every page of the run, until it refuses.
    fn for_each(
        self,
        address: u64,
        pages: u64,
        mut each: impl FnMut(u64, u64, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut done = 0;
        while done < pages {
            let here = address + done * PAGE_SIZE;
            let table = self.find(here, 0).map_err(|_| Error::NotMapped)?;
            let first = index_at(here, 0);
            let count = (512 - first).min(pages - done);
            for page in 0..count {
                each(table, first + page, done + page)?;
            }
            done += count;
        }
        Ok(())
    }

    /// Tables that mapping a run would take (at most); refused where something is mapped already.
    pub fn check_absent(self, address: u64, pages: u64) -> Result<u32, Error> {
        let (mut needed, mut done) = (0, 0);
        let mut last = None;
        while done < pages {
            let here = address + done * PAGE_SIZE;
            let first = index_at(here, 0);
            let count = (512 - first).min(pages - done);
            match self.find(here, 0) {
                Ok(table) => {
                    if (0..count).any(|page| read(table, first + page) & PRESENT != 0) {
                        return Err(Error::InUse);
                    }
                }
                // A directory that the stretch before will have made is not missing again.
                Err(missing) => {
                    let shared = last.map_or(3, |before: u64| match here ^ before {
                        difference if difference >> 30 == 0 => 1,
                        difference if difference >> 39 == 0 => 2,
                        _ => 3,
                    });
                    needed += missing.min(shared);
                    last = Some(here);
                }
            }
            done += count;
        }
        Ok(needed)
    }

    /// Maps a run that was checked to be absent.
    pub fn map(
        self,
        pool: &mut TablePool,
        address: u64,
        frame: u64,
        pages: u64,
        flags: u64,
        charge: &mut dyn FnMut(),
    ) {
        let mut done = 0;
        while done < pages {
            let here = address + done * PAGE_SIZE;
            let table = self.reach(pool, here, 0, charge);
            let first = index_at(here, 0);
            let count = (512 - first).min(pages - done);
            let mut entry = (frame + done) << PAGE_SHIFT | flags;
            for page in first..first + count {
                write(table, page, entry);
                entry += PAGE_SIZE;
            }
            done += count;
        }
    }

    /// Checks that every page of a run is mapped and acceptable.
    pub fn check_present(
        self,
        address: u64,
        pages: u64,
        mut accept: impl FnMut(Page) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.for_each(address, pages, |table, index, _| {
            let entry = read(table, index);
            if entry & PRESENT == 0 {
                Err(Error::NotMapped)
            } else {
                accept(Page::of(entry))
            }
        })
    }

    /// Gives a checked run other flags.
    pub fn protect(self, address: u64, pages: u64, rights: Rights) {
        let changed = self.for_each(address, pages, |table, index, page| {
            let entry = read(table, index);
            write(
                table,
                index,
                entry & ADDRESS | leaf_flags(rights, entry & DEVICE != 0),
            );
            flush_page(address + page * PAGE_SIZE);
            Ok(())
        });
        debug_assert!(changed.is_ok());
    }

    /// Unmaps a checked run, telling each page.
    pub fn unmap(self, address: u64, pages: u64, mut gone: impl FnMut(Page)) {
        let changed = self.for_each(address, pages, |table, index, page| {
            let entry = read(table, index);
            write(table, index, 0);
            flush_page(address + page * PAGE_SIZE);
            gone(Page::of(entry));
            Ok(())
        });
        debug_assert!(changed.is_ok());
    }

    /// Tables that showing frames in the frame window would take, at most.
    pub fn check_window(self, first: u64, frames: u64, blocks: bool) -> u32 {
        let address = FRAME_WINDOW + first * PAGE_SIZE;
        if !blocks {
            return self.check_absent(address, frames).unwrap_or(0);
        }
        // One directory shows 1 GiB. The tables above the first one lead to all: the window has one root entry.
        const DIRECTORY: u64 = BLOCK_SIZE * 512;
        let end = address + frames * PAGE_SIZE;
        let mut needed = self.find(address, 1).err().unwrap_or(0);
        let mut next = (address / DIRECTORY + 1) * DIRECTORY;
        while next < end {
            needed += self.find(next, 1).err().unwrap_or(0).min(1);
            next += DIRECTORY;
        }
        needed
    }

    /// Shows frames in the frame window, writable and not executable.
    pub fn map_window(
        self,
        pool: &mut TablePool,
        first: u64,
        frames: u64,
        blocks: bool,
        charge: &mut dyn FnMut(),
    ) {
        let address = FRAME_WINDOW + first * PAGE_SIZE;
        let flags = leaf_flags(Rights::READ_WRITE, false);
        if !blocks {
            self.map(pool, address, first, frames, flags, charge);
            return;
        }
        for block in 0..frames / BLOCK_FRAMES {
            let here = address + block * BLOCK_SIZE;
            let table = self.reach(pool, here, 1, charge);
            let index = index_at(here, 1);
            let entry = read(table, index);
            if entry & (PRESENT | LARGE) == PRESENT {
                // Single frames were shown here once; all are gone, so the table is empty.
                pool.put_back(entry & ADDRESS);
            }
            write(table, index, (here - FRAME_WINDOW) | flags | LARGE);
        }
    }

    /// Takes frames out of the frame window.
    pub fn unmap_window(self, first: u64, frames: u64, blocks: bool) {
        let address = FRAME_WINDOW + first * PAGE_SIZE;
        if !blocks {
            // Frames of a program are not in the window; what is not there need not go.
            for page in 0..frames {
                let here = address + page * PAGE_SIZE;
                if let Ok(table) = self.find(here, 0) {
                    write(table, index_at(here, 0), 0);
                    flush_page(here);
                }
            }
            return;
        }
        for block in 0..frames / BLOCK_FRAMES {
            let here = address + block * BLOCK_SIZE;
            if let Ok(table) = self.find(here, 1) {
                write(table, index_at(here, 1), 0);
                flush_page(here);
            }
        }
    }
}

const _: () = assert!(
    index_at(EXPORTED_TABLES, 3) == index_at(INTERFACE_PAGE, 3),
    "the shared part has one root entry"
);
