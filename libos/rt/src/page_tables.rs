//! The environment's own page tables, which the kernel shows it: what is mapped where, and what the CPU has marked.
//!
//! Nothing of this enters the kernel. `page_protect` with the rights that a page has clears its marks.
#![allow(unsafe_code)]

use exo_abi::address::entry_address;
use exo_abi::page_entry::{LARGE, PRESENT, PageEntry};

/// The page-table entry for `address`, which is in the lower half; `None` where nothing is mapped. Of a page of 2 MiB it is the
/// page-directory entry.
pub fn page_entry(address: u64) -> Option<PageEntry> {
    let page_table = entry_address(address);
    let directory = entry_address(page_table);
    let directories = entry_address(directory);
    for place in [entry_address(directories), directories] {
        entry_at(place)?;
    }
    let entry = entry_at(directory)?;
    if entry.has(LARGE) {
        return Some(entry);
    }
    entry_at(page_table)
}

/// Reads an entry of a table that is there.
fn entry_at(place: u64) -> Option<PageEntry> {
    let place = (place & !7) as *const u64;
    // SAFETY: 1. the table is there: it is the root, or the entry that leads to it is present; 2. volatile, because kernel and CPU
    // write it; any bits are valid.
    let entry = PageEntry(unsafe { place.read_volatile() });
    entry.has(PRESENT).then_some(entry)
}
