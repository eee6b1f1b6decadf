//! The program break: memory right behind the program, which `brk` makes longer and shorter.

use exo_abi::Rights;
use exo_abi::address::PAGE_SIZE;
use exo_rt::program_memory;

use super::Memory;
use super::region::{Kind, Region};

/// How far the program break may go.
const BREAK_BYTES: u64 = 16 << 30;
/// Pages that the memory behind it grows by.
const BREAK_PAGES: u64 = 64;

/// The program break.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Break {
    start: u64,
    current: u64,
    mapped: u64,
}

impl Memory {
    /// Says behind what of the program its break begins.
    pub fn set_break_start(&mut self, end: u64) {
        let start = end.next_multiple_of(PAGE_SIZE);
        self.program_break = Break {
            start,
            current: start,
            mapped: start,
        };
    }

    /// Moves the program break; gives where it is then.
    pub fn set_break(&mut self, wanted: u64) -> u64 {
        let Break {
            start,
            current,
            mapped,
        } = self.program_break;
        if !(start..=start + BREAK_BYTES).contains(&wanted)
            || wanted > mapped && self.extend_break(wanted).is_none()
        {
            return current;
        }
        if wanted < current {
            // What comes back later is zero.
            let _ = program_memory::zero(wanted, current - wanted);
        }
        self.program_break.current = wanted;
        wanted
    }

    /// Puts memory behind the program break.
    fn extend_break(&mut self, wanted: u64) -> Option<()> {
        let start = self.program_break.mapped;
        let pages = (wanted - start)
            .div_ceil(PAGE_SIZE)
            .next_multiple_of(BREAK_PAGES);
        let end = start + pages * PAGE_SIZE;
        if self.regions.range(start..end).next().is_some() {
            return None;
        }
        let first = self.map_clean(start, pages, Rights::READ_WRITE)?;
        self.arena.back(start, first, pages);
        let before = self.regions.range_mut(..start).next_back();
        match before.map(|(_, region)| region) {
            Some(region)
                if region.end == start
                    && region.kind == Kind::Arena
                    && region.rights == Rights::READ_WRITE =>
            {
                region.end = end;
            }
            _ => {
                let region = Region::new(end, Rights::READ_WRITE, Kind::Arena);
                self.regions.insert(start, region);
            }
        }
        self.program_break.mapped = end;
        Some(())
    }
}
