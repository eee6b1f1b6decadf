//! The tables that an address space has taken from the pool: a list, so that all can go back when it is used no more.
//!
//! Each table but the fixed ones is known by the entry that leads to it. That entry is under no capability, so its node in the frame behind
//! the table serves for the list, which begins in the node of the root's entry for itself.

use exo_abi::address::{PAGE_SIZE, PAGE_TABLES};
use exo_abi::page_entry::ADDRESS;

use super::run::ENTRY;
use super::{AddressSpace, TABLE_FRAMES, TablePool, entry_in, read, read_half, write, write_half};

/// Offset in a node of the link to the entry before; that to the entry after is at 0.
const BEFORE: u64 = 4;

/// Where the node of the entry behind `link` is.
fn node(link: u32) -> u64 {
    u64::from(link) * ENTRY + PAGE_SIZE
}

impl AddressSpace {
    /// The link of the list's start.
    fn head(self) -> u32 {
        (entry_in(self.root(), PAGE_TABLES, 3) / ENTRY) as u32
    }

    /// Starts the list.
    pub(super) fn clear_tables(self) {
        write_half(node(self.head()), 0);
    }

    /// Puts the table to which the entry at `place` leads at the start of the list.
    pub(super) fn note_table(self, place: u64) {
        let (head, link) = (self.head(), (place / ENTRY) as u32);
        let second = read_half(node(head));
        write(node(link), u64::from(head) << 32 | u64::from(second));
        write_half(node(head), link);
        if second != 0 {
            write_half(node(second) + BEFORE, link);
        }
    }

    /// Takes it out.
    pub(super) fn forget_table(self, place: u64) {
        self.forget_found();
        let links = read(node((place / ENTRY) as u32));
        let (before, after) = ((links >> 32) as u32, links as u32);
        write_half(node(before), after);
        if after != 0 {
            write_half(node(after) + BEFORE, before);
        }
    }

    /// Gives all of them back, in which nothing is mapped any more: how many frames. No vCPU uses this space, and whoever comes to use it
    /// starts without translations.
    pub fn give_tables_back(self, pool: &mut TablePool) -> u32 {
        let head = self.head();
        let mut frames = 0;
        // The newest first: a table is older than all to which it leads, so it is empty when its turn comes.
        let mut link = read_half(node(head));
        while link != 0 {
            let place = u64::from(link) * ENTRY;
            let table = read(place) & ADDRESS;
            link = read_half(node(link));
            write(place, 0);
            pool.put_pair_back(table);
            frames += TABLE_FRAMES;
        }
        self.clear_tables();
        self.forget_found();
        frames
    }
}
