//! Mappings that grow, shrink and move (mremap(2)): frames go along, contents are not copied.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use exo_abi::Rights;
use exo_abi::address::{BLOCK_SIZE, PAGE_SIZE};
use exo_rt::program_memory;

use super::region::{Kind, Region};
use super::{Memory, mapping, round_up};
use crate::errno::{Errno, Result};

/// How a mapping may change.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Where it is to go, in place of what is there; `None`: it stays where it is if it can.
    pub place: Option<u64>,
    /// Whether it may go elsewhere.
    pub may_move: bool,
    /// Whether its old addresses stay mapped, without their contents.
    pub leaves_old: bool,
}

impl Memory {
    /// Makes a mapping longer or shorter; where it is then.
    pub fn remap(&mut self, start: u64, bytes: u64, new_bytes: u64, change: Change) -> Result {
        let (Some(bytes), Some(new_bytes)) = (round_up(bytes), round_up(new_bytes)) else {
            return Err(Errno::EINVAL);
        };
        let end = start.checked_add(bytes).ok_or(Errno::EINVAL)?;
        if let Some(place) = change.place {
            let place_end = self.check_range(place, new_bytes)?;
            if place < end && start < place_end {
                return Err(Errno::EINVAL);
            }
        }
        let (rights, is_shared) = self.alike(start, end)?;
        if change.leaves_old && is_shared {
            return Err(Errno::EINVAL);
        }
        if change.place.is_none() && !change.leaves_old {
            if new_bytes <= bytes {
                if new_bytes < bytes {
                    self.unmap(start + new_bytes, bytes - new_bytes)?;
                }
                return Ok(start);
            }
            if self.lengthen(start, end, start + new_bytes) {
                return Ok(start);
            }
            if !change.may_move {
                return Err(Errno::ENOMEM);
            }
        }
        let place = match change.place {
            Some(place) => {
                self.evacuate(place, place + new_bytes)?;
                self.unmap(place, new_bytes)?;
                place
            }
            None => self.find_place(start, new_bytes).ok_or(Errno::ENOMEM)?,
        };
        let moved = bytes.min(new_bytes);
        self.move_regions(start, start + moved, place)?;
        if moved < new_bytes && !self.lengthen(place, place + moved, place + new_bytes) {
            return Err(Errno::ENOMEM);
        }
        if change.leaves_old {
            let region = Region {
                is_dense: true,
                ..Region::new(end, rights, Kind::Lazy)
            };
            self.regions.insert(start, region);
        } else if moved < bytes {
            self.unmap(start + moved, bytes - moved)?;
        }
        Ok(place)
    }

    /// Rights of a range that is mapped and the same everywhere, and whether it is a shared file.
    fn alike(&self, start: u64, end: u64) -> Result<(Rights, bool)> {
        if !self.is_mapped(start, end) {
            return Err(Errno::EFAULT);
        }
        let mut all = self.overlapping(start, end).map(|region| {
            let file = region.file.as_ref();
            let origin = file.map(|shown| (shown.origin, shown.is_shared));
            (region.rights, origin)
        });
        let (rights, origin) = all.next().ok_or(Errno::EFAULT)?;
        match all.all(|other| other == (rights, origin)) {
            true => Ok((rights, origin.is_some_and(|(_, is_shared)| is_shared))),
            false => Err(Errno::EFAULT),
        }
    }

    /// Makes the mapping that ends at `end` longer, if nothing is behind it; false if something is.
    fn lengthen(&mut self, start: u64, end: u64, new_end: u64) -> bool {
        let is_free = !self.has_any(end, new_end - end);
        if !is_free || new_end > super::LARGE.end {
            return false;
        }
        let Some((first, region)) = self.region(end - 1) else {
            return false;
        };
        let mut behind = Region {
            file: region.file.clone(),
            is_dense: region.is_dense || region.kind == Kind::Arena,
            ..Region::new(new_end, region.rights, region.kind)
        };
        let can_join = region.kind == Kind::Lazy;
        if self.arena.blocks(end, new_end).next().is_some() {
            // Free pages of the arena.
            let Some(is_clean) = self.arena.take_at(end, (new_end - end) / PAGE_SIZE) else {
                return false;
            };
            let bytes = new_end - end;
            if behind.kind != Kind::Arena || !is_clean && program_memory::zero(end, bytes).is_err()
            {
                self.arena.free(end, bytes / PAGE_SIZE, false);
                return false;
            }
        } else if behind.kind == Kind::Arena {
            behind.kind = Kind::Lazy;
        }
        if can_join && first >= start {
            if let Some(region) = self.regions.get_mut(&first) {
                region.end = new_end;
            }
        } else {
            self.regions.insert(end, behind);
        }
        true
    }

    /// Where a mapping can go: whole blocks of it stay whole blocks.
    fn find_place(&mut self, start: u64, bytes: u64) -> Option<u64> {
        let distance = match bytes {
            BLOCK_SIZE.. => start % BLOCK_SIZE,
            _ => 0,
        };
        Some(self.find_lazy(bytes.checked_add(distance)?)? + distance)
    }

    /// Moves what is mapped in a range to another, in which nothing is.
    fn move_regions(&mut self, start: u64, end: u64, place: u64) -> Result<()> {
        let shifted = |address: u64| address - start + place;
        if place % BLOCK_SIZE == start % BLOCK_SIZE {
            self.move_blocks(start, end, shifted)?;
        }
        self.evacuate(start, end)?;
        self.cut(start);
        self.cut(end);
        let all: Vec<u64> = self
            .regions
            .range(start..end)
            .map(|(&first, _)| first)
            .collect();
        for first in all {
            let Some(mut region) = self.regions.remove(&first) else {
                continue;
            };
            self.unmap_pages(&region)?;
            let pages = core::mem::take(&mut region.pages).into_iter();
            region.pages = pages
                .map(|(page, frame)| (shifted(page), frame))
                .collect::<BTreeMap<_, _>>();
            region.end = shifted(region.end);
            if let Some(shown) = &mut region.file {
                shown.origin = shown.origin.wrapping_add(place.wrapping_sub(start));
            }
            self.regions.insert(shifted(first), region);
        }
        Ok(())
    }

    /// Moves the blocks of which the program has all, as far as there is room for them.
    fn move_blocks(&mut self, start: u64, end: u64, shifted: impl Fn(u64) -> u64) -> Result<()> {
        let inner = start.next_multiple_of(BLOCK_SIZE)..end / BLOCK_SIZE * BLOCK_SIZE;
        if inner.is_empty() {
            return Ok(());
        }
        let whole: Vec<_> = self
            .arena
            .blocks(inner.start, inner.end)
            .filter(|&(block, _)| self.arena.free_pages(block).next().is_none())
            .collect();
        for (block, frame) in whole {
            let from = block * BLOCK_SIZE;
            let to = shifted(from);
            // Where a page table is, the pages come one by one.
            if mapping::map_block(to, frame, self.capabilities.of(frame)).is_err() {
                continue;
            }
            mapping::unmap_blocks([from].into_iter())?;
            self.cut(from);
            self.cut(from + BLOCK_SIZE);
            self.arena.remove(block);
            self.arena.lend(to / BLOCK_SIZE, frame);
            let gone: Vec<_> = self
                .regions
                .extract_if(from..from + BLOCK_SIZE, |_, _| true)
                .collect();
            for (first, mut region) in gone {
                region.end = shifted(region.end);
                self.regions.insert(shifted(first), region);
            }
        }
        Ok(())
    }
}
