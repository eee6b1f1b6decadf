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
pub(super) const STEP: u64 = 1 << 32 | 1;

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

/// Entries of one table that come to the start of the list of a capability, in their order. While it is under way, the node behind each
/// entry is written: [`Self::links`] into the first, and [`STEP`] more into each that follows.
pub(super) struct Insertion {
    /// What the first of the nodes is written with.
    pub links: u64,
    slot: u32,
    first: u32,
    last: u32,
}

impl Insertion {
    /// Of `count` entries from physical address `entry` on.
    #[inline(always)]
    pub(super) fn new(slot: u32, entry: u64, count: u64) -> Self {
        let first = (entry / ENTRY) as u32;
        Self {
            links: (u64::from(first) - 1) << 32 | (u64::from(first) + 1),
            slot,
            first,
            last: first + (count as u32 - 1),
        }
    }

    /// Links the first and the last to the rest of the list.
    #[inline(always)]
    pub(super) fn finish(self, ledger: &mut Ledger) {
        let Self {
            slot, first, last, ..
        } = self;
        let second = ledger.replace_first_mapping(slot, first);
        write_half(node(last), second);
        write_half(node(first) + BEFORE, FIRST | slot);
        if second != 0 {
            write_half(node(second) + BEFORE, last);
        }
    }
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

/// Takes `count` entries of one table, from physical address `entry` on, out of their lists, whichever these are, telling where each is. What
/// was inserted together leaves together.
#[inline(always)]
pub(super) fn remove(
    ledger: &mut Ledger,
    entry: u64,
    count: u64,
    mut work: impl FnMut(&mut Ledger, u64),
) {
    let mut link = (entry / ENTRY) as u32;
    let (mut entry, end) = (entry, entry + count * ENTRY);
    let mut before = read_half(entry + PAGE_SIZE + BEFORE);
    loop {
        work(ledger, entry);
        let next = read_half(entry + PAGE_SIZE);
        link += 1;
        entry += ENTRY;
        if next == link && entry != end {
            continue;
        }
        join(ledger, before, next);
        if entry == end {
            return;
        }
        before = read_half(entry + PAGE_SIZE + BEFORE);
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
