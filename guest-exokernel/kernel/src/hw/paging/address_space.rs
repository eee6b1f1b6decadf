//! The page tables of one environment, from its root down.

use exo_abi::Rights;
use exo_abi::address::{
    BLOCK_SIZE, ENVIRONMENT_PAGE, EXPORTED_TABLES, INTERFACE_PAGE, KERNEL_BASE, PAGE_SIZE,
    PAGE_TABLES,
};

use exo_abi::page_entry::{ADDRESS, LARGE, NO_EXECUTE, PRESENT, USER, WRITE};

use super::run::ENTRY;
use super::{Place, Run, TABLE, TablePool, entry_in, leaf_flags, read, write};
use crate::hw::{memory, registers};

/// In place of how many frames are missing: a page of 2 MiB is mapped there.
pub const LARGE_PAGE: u32 = u32::MAX;

/// Frames of a table: itself, and the nodes of its entries.
pub const TABLE_FRAMES: u32 = 2;

/// Which of the page tables that a space remembers: two, since who allocates frames maps them, in turns.
#[derive(Clone, Copy)]
pub(super) enum Remembered {
    /// Of the program range.
    Program = 0,
    /// Of the frame window.
    Window = 1,
}

/// Where in the frame behind the root it is remembered which page table was used last: the number of its 2 MiB, and its address. Entries of
/// the root from here on lead to no memory of an environment, so that their nodes serve for nothing else.
const REMEMBERED: u64 = PAGE_SIZE + ENTRY * 256;
/// The number of no 2 MiB.
const NOTHING: u64 = u64::MAX;
const _: () = assert!(
    entry_in(0, INTERFACE_PAGE, 3) < 256 * ENTRY && entry_in(0, PAGE_TABLES, 3) < 256 * ENTRY
);

/// An environment keeps the tables it got until it ends. It can read them: the root leads to itself, so that all tables lie
/// side by side at `PAGE_TABLES` (Intel SDM volume 3, section 5.5: a table is what the walk has come to, whatever it is used as).
/// The entry of the root that does so allows no writing, and the kernel's entry no ring 3, so neither is allowed there.
#[derive(Clone, Copy)]
pub struct AddressSpace {
    root: u64,
}

const _: () = assert!(
    entry_in(0, EXPORTED_TABLES, 3) == entry_in(0, INTERFACE_PAGE, 3),
    "the shared part has one root entry"
);

impl AddressSpace {
    /// None yet.
    pub const NONE: Self = Self { root: 0 };

    /// A space with the kernel and the shared part, and the three environment pages at `pages` (physical). Takes `KEPT_TABLES` frames,
    /// which it keeps: the root and what is behind it, and one table of each level for the pages.
    pub fn new(pool: &mut TablePool, pages: u64) -> Self {
        let space = Self {
            root: pool.take_pair(),
        };
        space.clear_tables();
        space.forget_found();
        let kernel = memory::kernel_directories_address() | PRESENT | WRITE;
        write(entry_in(space.root, KERNEL_BASE, 3), kernel);
        let shared = memory::shared_directories_address() | PRESENT | USER;
        write(entry_in(space.root, INTERFACE_PAGE, 3), shared);
        let own = space.root | PRESENT | USER | NO_EXECUTE;
        write(entry_in(space.root, PAGE_TABLES, 3), own);
        let mut table = space.root;
        for level in (1..=3).rev() {
            let next = pool.take();
            write(entry_in(table, ENVIRONMENT_PAGE, level), next | TABLE);
            table = next;
        }
        for (page, rights) in [
            (0, Rights::READ),
            (1, Rights::READ_WRITE),
            (2, Rights::READ_WRITE),
        ] {
            let offset = page * PAGE_SIZE;
            let entry = entry_in(table, ENVIRONMENT_PAGE + offset, 0);
            write(entry, (pages + offset) | leaf_flags(rights, false));
        }
        space
    }

    /// That of whoever has entered the kernel, while it is in there.
    #[inline(always)]
    pub fn current() -> Self {
        Self {
            root: registers::root(),
        }
    }

    /// Whether it has been made.
    pub fn exists(self) -> bool {
        self.root != 0
    }

    /// Physical address of the root.
    pub fn root(self) -> u64 {
        self.root
    }

    /// The run of `pages` at `address`, which one table holds, or how many frames are missing for the tables down to it; or
    /// [`LARGE_PAGE`].
    #[inline(always)]
    pub fn find<const LEVEL: u32>(self, address: u64, pages: u64) -> Result<Run<LEVEL>, u32> {
        let entry = self.find_at(address, LEVEL)?;
        Ok(Run::new(entry, address, pages))
    }

    /// Where one page can be mapped: in a page table that is there, and nothing is mapped at the address.
    #[inline(always)]
    pub fn find_absent(self, address: u64) -> Option<Place> {
        let entry = self.find_at(address, 0).ok()?;
        (read(entry) & PRESENT == 0).then_some(Place(entry))
    }

    /// Where one page is mapped.
    #[inline(always)]
    pub fn find_present(self, address: u64) -> Option<Place> {
        let entry = self.find_at(address, 0).ok()?;
        (read(entry) & PRESENT != 0).then_some(Place(entry))
    }

    /// As [`Self::find`], made where missing. `charge` is called for each table that is taken.
    pub fn reach<const LEVEL: u32>(
        self,
        pool: &mut TablePool,
        address: u64,
        pages: u64,
        charge: &mut dyn FnMut(),
    ) -> Run<LEVEL> {
        Run::new(self.reach_at(pool, address, LEVEL, charge), address, pages)
    }

    /// Where the entry of `level` for `address` is, or how many frames are missing: a table takes two. A page of 2 MiB has no entries.
    #[inline(always)]
    pub(super) fn find_at(self, address: u64, level: u32) -> Result<u64, u32> {
        let table = match level {
            0 => self.find_table(Remembered::Program, address / BLOCK_SIZE)?,
            _ => self.walk(address, level)?,
        };
        Ok(entry_in(table, address, level))
    }

    /// The page table of a number of 2 MiB, or what [`Self::find_at`] says. It is the one that was used last, most of the time.
    #[inline(always)]
    pub(super) fn find_table(self, which: Remembered, number: u64) -> Result<u64, u32> {
        let place = self.root + REMEMBERED + 2 * ENTRY * which as u64;
        match read(place) == number {
            true => Ok(read(place + ENTRY)),
            false => self.walk_to_table(place, number),
        }
    }

    /// The same, where it is the one that was used last: in a handful of instructions.
    #[inline(always)]
    pub(super) fn remembered_table(self, which: Remembered, number: u64) -> Option<u64> {
        let place = self.root + REMEMBERED + 2 * ENTRY * which as u64;
        (read(place) == number).then(|| read(place + ENTRY))
    }

    #[cold]
    #[inline(never)]
    fn walk_to_table(self, place: u64, number: u64) -> Result<u64, u32> {
        let table = self.walk(number * BLOCK_SIZE, 0)?;
        write(place, number);
        write(place + ENTRY, table);
        Ok(table)
    }

    /// Remembers nothing: a page table is to be another's.
    pub(super) fn forget_found(self) {
        for which in [Remembered::Program, Remembered::Window] {
            write(self.root + REMEMBERED + 2 * ENTRY * which as u64, NOTHING);
        }
    }

    /// The table of `level` for `address`.
    #[inline(always)]
    fn walk(self, address: u64, level: u32) -> Result<u64, u32> {
        let mut table = self.root;
        for upper in (level + 1..=3).rev() {
            let entry = read(entry_in(table, address, upper));
            if entry & PRESENT == 0 {
                return Err(TABLE_FRAMES * (upper - level));
            }
            if upper == 1 && entry & LARGE != 0 {
                return Err(LARGE_PAGE);
            }
            table = entry & ADDRESS;
        }
        Ok(table)
    }

    /// Where the entry of `level` for `address` is, made where missing.
    #[inline(never)]
    pub(super) fn reach_at(
        self,
        pool: &mut TablePool,
        address: u64,
        level: u32,
        charge: &mut dyn FnMut(),
    ) -> u64 {
        let mut table = self.root;
        for upper in (level + 1..=3).rev() {
            let place = entry_in(table, address, upper);
            let entry = read(place);
            table = if entry & PRESENT == 0 {
                charge();
                let fresh = pool.take_pair();
                write(place, fresh | TABLE);
                self.note_table(place);
                fresh
            } else {
                entry & ADDRESS
            };
        }
        entry_in(table, address, level)
    }
}
