//! Page tables of environments (Intel SDM volume 3, section 5.5): entries, and how tables are read and written.
//!
//! A run of pages lies inside one page table. It is checked whole (`PageTable::check_*`) before it is changed.

mod address_space;
mod page_table;
mod pool;
mod window;

pub use address_space::AddressSpace;
pub use page_table::PageTable;
pub use pool::TablePool;

use exo_abi::Rights;
use exo_abi::address::{BLOCK_SIZE, KERNEL_BASE, PAGE_SHIFT, PAGE_SIZE};

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

/// Cuts `pages` pages from `address` on into runs, each inside one page table: address and pages.
pub fn runs(address: u64, pages: u64) -> impl Iterator<Item = (u64, u64)> {
    let end = address + pages * PAGE_SIZE;
    let mut next = address;
    core::iter::from_fn(move || {
        let here = next;
        next = ((here / BLOCK_SIZE + 1) * BLOCK_SIZE).min(end);
        (here < end).then(|| (here, (next - here) / PAGE_SIZE))
    })
}

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
