//! The reverse map: from a capability to the page-table entries that were made under it.
//!
//! Behind each page table lies a frame with a node for each of its entries: the links to the entries after and before it in the
//! list of its capability. A link is the physical address of an entry, in words; 0 is none. The list begins in the capability's
//! entry in the ledger, and the first node names that slot, so that an entry leaves its list without a search. All entries of a
//! list are in the tables of the capability's holder.

use exo_abi::address::PAGE_SIZE;
use exo_ledger::Ledger;

use super::run::ENTRY;
use super::{read, read_half, write, write_half};

/// In place of the link to the entry before: this is the first, and the rest is the slot of its capability. Links are below,
/// since the kernel's memory is less than 16 GiB.
const FIRST: u32 = 1 << 31;
/// Offset in a node of the link to the entry before; that to the entry after is at 0.
const BEFORE: u64 = 4;
/// From a node to that of the next entry, both links are one higher.
const STEP: u64 = 1 << 32 | 1;

/// Where the node of the entry behind `link` is.
#[inline(always)]
fn node(link: u32) -> u64 {
    u64::from(link) * ENTRY + PAGE_SIZE
}

#[inline(always)]
fn after(link: u32) -> u32 {
    read_half(node(link))
}

/// Makes two links neighbours; `before` may be a slot with [`FIRST`], and `after` 0.
#[inline(always)]
fn join(ledger: &mut Ledger, before: u32, after: u32) {
    if before & FIRST != 0 {
        ledger.set_first_mapping(before & !FIRST, after);
    } else {
        write_half(node(before), after);
    }
    if after != 0 {
        write_half(node(after) + BEFORE, before);
    }
}

/// Puts `count` entries of one table, from physical address `entry` on, at the start of the list of `slot`.
#[inline(always)]
pub(super) fn insert(ledger: &mut Ledger, slot: u32, entry: u64, count: u64) {
    let first = (entry / ENTRY) as u32;
    let last = first + (count as u32 - 1);
    let second = ledger.first_mapping(slot);
    let mut links = (u64::from(first) - 1) << 32 | (u64::from(first) + 1);
    for link in first..last {
        write(node(link), links);
        links += STEP;
    }
    write(node(last), u64::from(last - 1) << 32 | u64::from(second));
    write_half(node(first) + BEFORE, FIRST | slot);
    if second != 0 {
        write_half(node(second) + BEFORE, last);
    }
    ledger.set_first_mapping(slot, first);
}

/// Puts one entry at the start of the list of `slot`.
#[inline(always)]
pub(super) fn insert_one(ledger: &mut Ledger, slot: u32, entry: u64) {
    let link = (entry / ENTRY) as u32;
    let second = ledger.replace_first_mapping(slot, link);
    write(
        entry + PAGE_SIZE,
        u64::from(FIRST | slot) << 32 | u64::from(second),
    );
    if second != 0 {
        write_half(node(second) + BEFORE, link);
    }
}

/// Takes `count` entries of one table, from physical address `entry` on, out of their lists, whichever these are. What was
/// inserted together leaves together.
#[inline(always)]
pub(super) fn remove(ledger: &mut Ledger, entry: u64, count: u64) {
    let mut link = (entry / ENTRY) as u32;
    let end = link + count as u32;
    while link != end {
        let links = read(node(link));
        let mut next = links as u32;
        link += 1;
        while next == link && link != end {
            next = after(link);
            link += 1;
        }
        join(ledger, (links >> 32) as u32, next);
    }
}

/// Takes one entry out of its list.
#[inline(always)]
pub(super) fn remove_one(ledger: &mut Ledger, entry: u64) {
    let links = read(entry + PAGE_SIZE);
    join(ledger, (links >> 32) as u32, links as u32);
}

/// Takes up to `budget` entries off the start of the list of `slot`, telling where each is; whether none is left.
pub(super) fn take_first(
    ledger: &mut Ledger,
    slot: u32,
    budget: &mut u64,
    mut taken: impl FnMut(&mut Ledger, u64),
) -> bool {
    let mut link = ledger.first_mapping(slot);
    while link != 0 && *budget != 0 {
        *budget -= 1;
        taken(ledger, u64::from(link) * ENTRY);
        link = after(link);
    }
    join(ledger, FIRST | slot, link);
    link == 0
}
