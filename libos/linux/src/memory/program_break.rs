//! The program break: memory right behind the program, which `brk` makes longer and shorter.

use exo_abi::Rights;
use exo_abi::address::{BLOCK_SIZE, PAGE_SIZE};
use exo_rt::program_memory;

use alloc::vec::Vec;

use super::Memory;
use super::kept::{KeptRun, Wanted};
use super::region::{Kind, Region};
use crate::errno::{Errno, Result};

/// How far the program break may go.
const BREAK_BYTES: u64 = 16 << 30;
/// Bytes that its region grows by at least.
const STEP_BYTES: u64 = 256 << 10;
/// Bytes from which on it grows by blocks.
const SMALL_BYTES: u64 = 1 << 20;

/// The program break.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Break {
    start: u64,
    current: u64,
    /// End of its region.
    end: u64,
}

impl Memory {
    /// Says behind what of the program its break begins.
    pub fn set_break_start(&mut self, end: u64) {
        let start = end.next_multiple_of(PAGE_SIZE);
        self.program_break = Break {
            start,
            current: start,
            end: start,
        };
    }

    /// What a program takes of the one before for its break, if it ends at `end` itself.
    pub const fn wanted_break(end: u64) -> Wanted {
        let start = end.next_multiple_of(PAGE_SIZE);
        Wanted {
            start,
            pages: ((start + 1).next_multiple_of(STEP_BYTES) - start) / PAGE_SIZE,
            rights: Rights::READ_WRITE,
            shared: None,
        }
    }

    /// Begins with memory that is mapped there already.
    pub(super) fn begin_break(&mut self, kept: Vec<(u64, KeptRun)>) -> Result<()> {
        let start = self.program_break.start;
        if !kept.is_empty() {
            self.extend_break(start + 1).ok_or(Errno::ENOMEM)?;
        }
        for (address, run) in kept {
            program_memory::zero(address, run.pages * PAGE_SIZE)?;
            if let Some(region) = self.regions.get_mut(&start) {
                let pages =
                    (0..run.pages).map(|page| (address + page * PAGE_SIZE, run.frame + page));
                region.pages.extend(pages);
            }
        }
        Ok(())
    }

    /// Moves the program break; gives where it is then.
    pub fn set_break(&mut self, wanted: u64) -> u64 {
        let Break {
            start,
            current,
            end,
        } = self.program_break;
        if !(start..=start + BREAK_BYTES).contains(&wanted)
            || wanted > end && self.extend_break(wanted).is_none()
        {
            return current;
        }
        if wanted < current {
            self.shorten_break(wanted, current);
        }
        self.program_break.current = wanted;
        wanted
    }

    /// Makes the region of the program break longer.
    fn extend_break(&mut self, wanted: u64) -> Option<()> {
        let Break { start, end, .. } = self.program_break;
        let step = match wanted - start {
            SMALL_BYTES.. => BLOCK_SIZE,
            _ => STEP_BYTES,
        };
        let new_end = wanted.next_multiple_of(step);
        if self.has_any(end, new_end - end) || self.arena.blocks(end, new_end).any(|_| true) {
            return None;
        }
        let before = self.regions.range_mut(start..end).next_back();
        match before.map(|(_, region)| region) {
            Some(region)
                if region.end == end
                    && region.kind == Kind::Lazy
                    && region.rights == Rights::READ_WRITE =>
            {
                region.end = new_end;
            }
            _ => {
                let region = Region {
                    is_dense: true,
                    ..Region::new(new_end, Rights::READ_WRITE, Kind::Lazy)
                };
                self.regions.insert(end, region);
            }
        }
        self.program_break.end = new_end;
        Some(())
    }

    /// Has what is behind the new break read as zero when it comes back.
    fn shorten_break(&mut self, wanted: u64, current: u64) {
        let border = wanted.next_multiple_of(PAGE_SIZE).min(current);
        let place = self.region(wanted).and_then(|(_, region)| {
            let page = wanted / PAGE_SIZE * PAGE_SIZE;
            match region.kind {
                Kind::Arena => Some(wanted),
                _ => Some(self.view(*region.pages.get(&page)?) + wanted % PAGE_SIZE),
            }
        });
        if let Some(place) = place {
            let _ = program_memory::zero(place, border - wanted);
        }
        // What the program itself has unmapped there stays away.
        if border < current {
            let _ = self.discard(border, current - border);
        }
    }
}
