//! Page tables of environments (Intel SDM volume 3, section 5.5): entries, and how tables are read and written.
//!
//! Each table that is taken has a frame behind it, with a node for each entry. A run of pages lies inside one page table. It is checked whole (`Run::check_*`) before it is changed. Entries of the
//! program range are listed by capability (`reverse_map`); the frame window needs no list, since frames tell their address.

mod address_space;
mod pool;
mod reverse_map;
mod run;
mod tables;
mod window;

pub use address_space::{AddressSpace, LARGE_PAGE, TABLE_FRAMES};
pub use pool::TablePool;
pub use run::{Page, Place, Run, unmap_first};

use exo_abi::Rights;
use exo_abi::address::{BLOCK_SIZE, KERNEL_BASE, PAGE_SHIFT, PAGE_SIZE};
use exo_abi::page_entry::{NO_EXECUTE, PRESENT, USER, WRITE};

use self::run::ENTRY;

const UNCACHED: u64 = 1 << 3 | 1 << 4;
/// Ignored by the CPU: the page is a device's.
const DEVICE: u64 = 1 << 9;
/// Entry of a table that leads to another table: the leaf decides.
const TABLE: u64 = PRESENT | WRITE | USER;

/// Flags of a leaf entry.
#[inline(always)]
pub fn leaf_flags(rights: Rights, device: bool) -> u64 {
    const _: () = assert!(Rights::WRITE.0 as u64 == WRITE);
    let write = u64::from(rights.0) & WRITE;
    let no_execute = if rights.contains(Rights::EXECUTE) {
        0
    } else {
        NO_EXECUTE
    };
    let uncached = if device { DEVICE | UNCACHED } else { 0 };
    PRESENT | USER | write | no_execute | uncached
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

/// Where the entry for `address` is in the table of `level` at `table`: 0 is the page table, 3 the root.
#[inline(always)]
const fn entry_in(table: u64, address: u64, level: u32) -> u64 {
    table + ((address >> (PAGE_SHIFT + 9 * level)) & 511) * ENTRY
}

fn read(entry: u64) -> u64 {
    // SAFETY: a word of a frame of the pool, or of the kernel's tables, which the kernel maps; the CPU may write accessed and dirty
    // bits meanwhile.
    unsafe { ((KERNEL_BASE + entry) as *const u64).read_volatile() }
}

fn write(entry: u64, value: u64) {
    // SAFETY: as above; the lock of the kernel is held.
    unsafe { ((KERNEL_BASE + entry) as *mut u64).write_volatile(value) }
}

/// Reads half a node of the reverse map.
fn read_half(place: u64) -> u32 {
    // SAFETY: half a word of a frame of the pool.
    unsafe { ((KERNEL_BASE + place) as *const u32).read_volatile() }
}

fn write_half(place: u64, value: u32) {
    // SAFETY: as above; the lock of the kernel is held.
    unsafe { ((KERNEL_BASE + place) as *mut u32).write_volatile(value) }
}
