//! The frame window: where an environment sees its own frames, each at an address that tells its number.

use exo_abi::Rights;
use exo_abi::address::{BLOCK_FRAMES, BLOCK_SIZE, FRAME_WINDOW, PAGE_SIZE, entry_address};

use exo_abi::page_entry::{ADDRESS, LARGE, PRESENT};

use super::address_space::Remembered;
use super::{
    AddressSpace, Place, Run, TABLE_FRAMES, TablePool, entry_in, leaf_flags, read, runs, write,
};
use crate::hw::registers::flush_page;

/// Bytes that one directory, or one directory of directories, shows.
const DIRECTORY: u64 = BLOCK_SIZE * 512;

/// The number of the 2 MiB in which a frame is shown.
#[inline(always)]
const fn number_of_table(frame: u64) -> u64 {
    FRAME_WINDOW / BLOCK_SIZE + frame / BLOCK_FRAMES
}

impl Run {
    /// Shows frames from `first` on in a run of the window.
    #[inline(always)]
    pub fn show_in_window(self, first: u64) {
        self.show(first, leaf_flags(Rights::READ_WRITE, false));
    }
}

impl Place {
    /// Shows a frame there.
    #[inline(always)]
    pub fn show_in_window(self, frame: u64) {
        let flags = leaf_flags(Rights::READ_WRITE, false);
        write(self.0, (frame * PAGE_SIZE) | flags);
    }
}

impl AddressSpace {
    /// Where a frame will be shown, if its page table is the one that was used last.
    #[inline(always)]
    pub fn find_in_window(self, frame: u64) -> Option<Place> {
        let table = self.remembered_table(Remembered::Window, number_of_table(frame))?;
        Some(Place(entry_in(table, frame * PAGE_SIZE, 0)))
    }

    /// Where frames are or will be shown, if all of them in one page table that is there already.
    #[inline(always)]
    pub fn find_window(self, first: u64, frames: u64) -> Option<Run> {
        if first % BLOCK_FRAMES + frames > BLOCK_FRAMES {
            return None;
        }
        let table = self
            .find_table(Remembered::Window, number_of_table(first))
            .ok()?;
        let address = FRAME_WINDOW + first * PAGE_SIZE;
        Some(Run::new(entry_in(table, address, 0), address, frames))
    }

    /// Tables that showing frames would take: the window has one root entry, so only the first walk can miss more than one.
    pub fn check_window(self, first: u64, frames: u64, blocks: bool) -> u32 {
        let (level, step) = if blocks {
            (1, DIRECTORY)
        } else {
            (0, BLOCK_SIZE)
        };
        let address = FRAME_WINDOW + first * PAGE_SIZE;
        let end = address + frames * PAGE_SIZE;
        let mut needed = self.find_at(address, level).err().unwrap_or(0);
        let mut next = (address / step + 1) * step;
        while next < end {
            let missing = self.find_at(next, level).err().unwrap_or(0);
            // A directory that the part before will have made is not missing again, unless this is the first part in another.
            let shared = if next.is_multiple_of(DIRECTORY) { 4 } else { 2 };
            needed += missing.min(if blocks { 2 } else { shared });
            next += step;
        }
        needed
    }

    /// Shows frames in the window, writable and not executable. Returns how many frames it gave back to the pool.
    pub fn map_window(
        self,
        pool: &mut TablePool,
        first: u64,
        frames: u64,
        blocks: bool,
        charge: &mut dyn FnMut(),
    ) -> u32 {
        let mut given_back = 0;
        let flags = leaf_flags(Rights::READ_WRITE, false);
        for (address, pages) in runs(FRAME_WINDOW + first * PAGE_SIZE, frames) {
            let frame = (address - FRAME_WINDOW) / PAGE_SIZE;
            if !blocks {
                self.reach::<0>(pool, address, pages, charge)
                    .show(frame, flags);
                continue;
            }
            let place = self.reach_at(pool, address, 1, charge);
            let entry = read(place);
            write(place, (address - FRAME_WINDOW) | flags | LARGE);
            if entry & (PRESENT | LARGE) == PRESENT {
                // Single frames were shown here once; all are gone, so the table is empty. The CPU may remember that it is in use
                // here, whoever has it next (Intel SDM volume 3, section 5.10.3), and the environment may have looked at it.
                flush_page(address);
                flush_page(entry_address(address));
                self.forget_table(place);
                pool.put_pair_back(entry & ADDRESS);
                given_back += TABLE_FRAMES;
            }
        }
        given_back
    }

    /// Takes frames out of the window. Frames of a program never were in it.
    pub fn unmap_window(self, first: u64, frames: u64, blocks: bool) {
        for (address, pages) in runs(FRAME_WINDOW + first * PAGE_SIZE, frames) {
            if !blocks {
                if let Some(run) = self.find_window((address - FRAME_WINDOW) / PAGE_SIZE, pages) {
                    run.hide();
                }
            } else if let Ok(place) = self.find_at(address, 1) {
                write(place, 0);
                flush_page(address);
                // Where a page table would be read, the environment could read the first page.
                flush_page(entry_address(address));
            }
        }
    }
}
