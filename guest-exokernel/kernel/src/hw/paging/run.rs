//! Runs of pages inside one table, of 4 KiB in a page table or of 2 MiB in a page directory: what is mapped there, and changes.

use exo_abi::address::{PAGE_SHIFT, PAGE_SIZE, entry_address};
use exo_abi::page_entry::{ADDRESS, LARGE, PRESENT};
use exo_abi::{Error, Rights};
use exo_ledger::Ledger;

use super::reverse_map::Insertion;
use super::{DEVICE, leaf_flags, read, reverse_map, write};
use crate::hw::registers::{flush_page, flush_translations};

/// Bytes of an entry.
pub(super) const ENTRY: u64 = 8;

/// Longest run whose pages are forgotten one by one.
const FLUSHED_ONE_BY_ONE: u64 = 32;

/// What a leaf entry says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Frame number; of a page of 2 MiB, of its first frame.
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

/// At least one page, and their entries, which lie side by side. In the program range each entry that is present is in the
/// [reverse map](reverse_map). A run is checked whole before it is changed. `LEVEL` is that of its table: 0 for pages of 4 KiB, 1 for 2 MiB.
#[derive(Clone, Copy)]
pub struct Run<const LEVEL: u32 = 0> {
    /// Physical address of the first entry.
    entry: u64,
    /// Address of the first page.
    address: u64,
    /// Pages.
    pages: u64,
}

impl<const LEVEL: u32> Run<LEVEL> {
    /// Bytes of a page.
    const STEP: u64 = PAGE_SIZE << (9 * LEVEL);
    /// What tells a page of this level from a table.
    const LEAF: u64 = if LEVEL == 0 { 0 } else { LARGE };

    /// The run at `address`, whose first entry is at physical address `entry`.
    #[inline(always)]
    pub(super) fn new(entry: u64, address: u64, pages: u64) -> Self {
        Self {
            entry,
            address,
            pages,
        }
    }

    /// Tells where each entry is, until `work` fails. There is one at least.
    #[inline(always)]
    fn try_each<E>(self, mut work: impl FnMut(u64) -> Result<(), E>) -> Result<(), E> {
        let end = self.entry + self.pages * ENTRY;
        let mut entry = self.entry;
        loop {
            work(entry)?;
            entry += ENTRY;
            if entry == end {
                return Ok(());
            }
        }
    }

    /// Tells where each entry is, and the address of its page.
    #[inline(always)]
    fn each(self, mut work: impl FnMut(u64, u64)) {
        let mut address = self.address;
        let Ok(()) = self.try_each(|entry| {
            work(entry, address);
            address += Self::STEP;
            Ok::<(), core::convert::Infallible>(())
        });
    }

    /// Whether it is so long that all translations are forgotten, once, and not each page's.
    #[inline(always)]
    fn is_long(self) -> bool {
        self.pages > FLUSHED_ONE_BY_ONE
    }

    /// Forgets what this vCPU knows of a page, of a run that is not long.
    #[inline(always)]
    fn flush_one(self, address: u64) {
        if !self.is_long() {
            Self::flush(address);
        }
    }

    /// Forgets what this vCPU knows of a run that is long.
    #[inline(always)]
    fn flush_all(self) {
        if self.is_long() {
            flush_translations();
        }
    }

    /// Forgets what this vCPU knows of a page.
    #[inline(always)]
    fn flush(address: u64) {
        flush_page(address);
        if LEVEL != 0 {
            // Where a page table would be read, the environment could read the first frame.
            flush_page(entry_address(address));
        }
    }

    /// All entries in one word, as `add` adds one: four in a step, so that a look at one takes less than two instructions.
    #[inline(always)]
    fn fold(self, mut word: u64, add: impl Fn(u64, u64) -> u64) -> u64 {
        let mut entry = self.entry;
        for _ in 0..self.pages / 4 {
            for offset in [0, 1, 2, 3] {
                word = add(word, read(entry + offset * ENTRY));
            }
            entry += 4 * ENTRY;
        }
        for _ in 0..self.pages % 4 {
            word = add(word, read(entry));
            entry += ENTRY;
        }
        word
    }

    /// Refuses a run in which something is mapped.
    #[inline(always)]
    pub fn check_absent(self) -> Result<(), Error> {
        match self.fold(0, |any, entry| any | entry) & PRESENT {
            0 => Ok(()),
            _ => Err(Error::InUse),
        }
    }

    /// Refuses a run in which a page is not mapped.
    #[inline(always)]
    pub fn check_present(self) -> Result<(), Error> {
        let wanted = PRESENT | Self::LEAF;
        match self.fold(wanted, |all, entry| all & entry) {
            all if all & wanted == wanted => Ok(()),
            _ => Err(Error::NotMapped),
        }
    }

    /// Maps a run that was checked to be absent, under the capability in `slot`.
    pub fn map(self, ledger: &mut Ledger, slot: u32, frame: u64, flags: u64) {
        let mut value = frame << PAGE_SHIFT | flags | Self::LEAF;
        let list = Insertion::new(slot, self.entry, self.pages);
        let mut links = list.links;
        self.each(|entry, _| {
            write(entry, value);
            write(entry + PAGE_SIZE, links);
            value += Self::STEP;
            links += reverse_map::STEP;
        });
        list.finish(ledger);
    }

    /// Writes the entries of a run; the reverse map does not hear of it.
    #[inline(always)]
    pub(super) fn show(self, frame: u64, flags: u64) {
        let mut value = frame << PAGE_SHIFT | flags | Self::LEAF;
        self.each(|entry, _| {
            write(entry, value);
            value += Self::STEP;
        });
    }

    /// Refuses a run in which a page is not mapped, or is not acceptable.
    #[inline(always)]
    pub fn check_pages(
        self,
        mut accept: impl FnMut(Page) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.try_each(|entry| {
            let value = read(entry);
            if value & PRESENT == 0 || value & Self::LEAF != Self::LEAF {
                return Err(Error::NotMapped);
            }
            accept(Page::of(value))
        })
    }

    /// Gives a checked run other rights, under the capability in `slot` from now on. Accessed and dirty bits are clear afterwards.
    #[inline(always)]
    pub fn protect(self, ledger: &mut Ledger, slot: u32, rights: Rights) {
        reverse_map::remove(ledger, self.entry, self.pages, |_, _| {});
        let list = Insertion::new(slot, self.entry, self.pages);
        let mut links = list.links;
        let of_memory = leaf_flags(rights, false);
        self.each(|entry, address| {
            let value = read(entry);
            let flags = match value & DEVICE {
                0 => of_memory,
                _ => leaf_flags(rights, true),
            };
            write(entry, value & ADDRESS | flags | Self::LEAF);
            write(entry + PAGE_SIZE, links);
            links += reverse_map::STEP;
            self.flush_one(address);
        });
        list.finish(ledger);
        self.flush_all();
    }

    /// Unmaps a checked run, telling the first of pages that follow each other in memory, and how many these are.
    #[inline(always)]
    pub fn unmap(self, ledger: &mut Ledger, mut gone: impl FnMut(&mut Ledger, Page, u64)) {
        const NAME: u64 = ADDRESS | DEVICE;
        let mut start = read(self.entry) & NAME;
        let mut next = start;
        reverse_map::remove(ledger, self.entry, self.pages, |ledger, entry| {
            let value = read(entry) & NAME;
            write(entry, 0);
            if value != next {
                gone(ledger, Page::of(start), (next - start) / Self::STEP);
                start = value;
                next = value;
            }
            next += Self::STEP;
        });
        gone(ledger, Page::of(start), (next - start) / Self::STEP);
        if self.is_long() {
            flush_translations();
        } else {
            self.each(|_, address| Self::flush(address));
        }
    }

    /// Clears what is there of a run of which the reverse map does not know.
    pub(super) fn hide(self) {
        self.each(|entry, address| {
            if read(entry) & PRESENT != 0 {
                write(entry, 0);
                Self::flush(address);
            }
        });
    }
}

/// The physical address of one entry of a page table: a run of one page, in fewer instructions.
pub struct Place(pub(super) u64);

impl Place {
    /// What is mapped there, where something is.
    #[inline(always)]
    pub fn page(&self) -> Page {
        Page::of(read(self.0))
    }

    /// Maps the frame there that is mapped already, under the capability in `slot` from now on. Accessed and dirty bits are clear afterwards.
    #[inline(always)]
    pub fn protect(self, ledger: &mut Ledger, slot: u32, frame: u64, flags: u64, address: u64) {
        reverse_map::remove_one(ledger, self.0);
        write(self.0, frame << PAGE_SHIFT | flags);
        flush_page(address);
        reverse_map::insert_one(ledger, slot, self.0);
    }

    /// Unmaps what is mapped there.
    #[inline(always)]
    pub fn unmap(self, ledger: &mut Ledger, address: u64) {
        reverse_map::remove_one(ledger, self.0);
        write(self.0, 0);
        flush_page(address);
    }

    /// Maps a frame there where nothing is, under the capability in `slot`.
    #[inline(always)]
    pub fn map(self, ledger: &mut Ledger, slot: u32, frame: u64, flags: u64) {
        write(self.0, frame << PAGE_SHIFT | flags);
        reverse_map::insert_one(ledger, slot, self.0);
    }
}

/// Clears up to `budget` of the entries made under the capability in `slot`, telling each page; whether none is left. Flushes
/// nothing.
pub fn unmap_first(
    ledger: &mut Ledger,
    slot: u32,
    budget: &mut u64,
    mut gone: impl FnMut(&mut Ledger, Page),
) -> bool {
    reverse_map::take_first(ledger, slot, budget, |ledger, entry| {
        let value = read(entry);
        write(entry, 0);
        gone(ledger, Page::of(value));
    })
}
