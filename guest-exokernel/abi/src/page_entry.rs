//! An entry of a page table, as the CPU reads and marks it (Intel SDM volume 3, section 5.5.4), and as a libOS reads its own at
//! [`crate::address::PAGE_TABLES`].

use crate::address::PAGE_SHIFT;

/// It leads to a page, or to another table.
pub const PRESENT: u64 = 1;
/// Writing is allowed, if every table above allows it too.
pub const WRITE: u64 = 1 << 1;
/// Ring 3 is allowed, if every table above allows it too.
pub const USER: u64 = 1 << 2;
/// The CPU has used the entry.
pub const ACCESSED: u64 = 1 << 5;
/// The CPU has written the page.
pub const DIRTY: u64 = 1 << 6;
/// In a page directory: it leads to a page of 2 MiB, not to a table.
pub const LARGE: u64 = 1 << 7;
/// Executing is not allowed.
pub const NO_EXECUTE: u64 = 1 << 63;
/// Bits of the physical address.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct PageEntry(pub u64);

impl PageEntry {
    /// Whether all of these bits are set.
    pub const fn has(self, bits: u64) -> bool {
        self.0 & bits == bits
    }

    /// Frame number of the page or table that it leads to.
    pub const fn frame(self) -> u64 {
        (self.0 & ADDRESS) >> PAGE_SHIFT
    }
}
