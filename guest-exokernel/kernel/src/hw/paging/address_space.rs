//! The page tables of one environment, from its root down.

use exo_abi::Rights;
use exo_abi::address::{ENVIRONMENT_PAGE, EXPORTED_TABLES, INTERFACE_PAGE, PAGE_SIZE};

use super::{
    ADDRESS, PRESENT, PageTable, TABLE, TablePool, USER, WRITE, index_at, leaf_flags, read, write,
};
use crate::hw::memory;

/// An environment keeps the tables it got until it ends.
#[derive(Clone, Copy)]
pub struct AddressSpace {
    root: u64,
}

const _: () = assert!(
    index_at(EXPORTED_TABLES, 3) == index_at(INTERFACE_PAGE, 3),
    "the shared part has one root entry"
);

impl AddressSpace {
    /// None yet.
    pub const NONE: Self = Self { root: 0 };

    /// A space with the kernel and the shared part, and the two environment pages at `pages` (physical). Takes 4 tables.
    pub fn new(pool: &mut TablePool, pages: u64, charge: &mut dyn FnMut()) -> Self {
        charge();
        let space = Self { root: pool.take() };
        let kernel = memory::kernel_directories_address() | PRESENT | WRITE;
        write(space.root, 511, kernel);
        let shared = memory::shared_directories_address() | PRESENT | USER;
        write(space.root, index_at(INTERFACE_PAGE, 3), shared);
        let table = space.reach(pool, ENVIRONMENT_PAGE, charge);
        for (page, rights) in [(0, Rights::READ), (1, Rights::READ_WRITE)] {
            let offset = page * PAGE_SIZE;
            let flags = leaf_flags(rights, false);
            table.map(
                ENVIRONMENT_PAGE + offset,
                (pages + offset) / PAGE_SIZE,
                1,
                flags,
            );
        }
        space
    }

    /// Physical address of the root.
    pub fn root(self) -> u64 {
        self.root
    }

    /// The page table for `address`, or how many tables are missing down to it and with it.
    #[inline]
    pub fn find(self, address: u64) -> Result<PageTable, u32> {
        self.find_at(address, 0).map(PageTable)
    }

    /// The page table for `address`, made where missing. `charge` is called for each table that is taken.
    pub fn reach(self, pool: &mut TablePool, address: u64, charge: &mut dyn FnMut()) -> PageTable {
        PageTable(self.reach_at(pool, address, 0, charge))
    }

    /// The table of `level` for `address`, or how many are missing.
    pub(super) fn find_at(self, address: u64, level: u32) -> Result<u64, u32> {
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
    pub(super) fn reach_at(
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
}
