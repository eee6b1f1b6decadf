//! Changes of what is there: the rights of pages, and their contents, which are given up.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use exo_abi::Rights;
use exo_abi::address::PAGE_SIZE;
use exo_rt::{page_tables, program_memory};

use super::fault::rights_of;
use super::region::{Kind, Region};
use super::{Memory, is_present, mapping, round_up};
use crate::errno::{Errno, Result};

/// Bytes from which on memory whose contents are given up is given back; less is zeroed where it is.
const GIVE_BYTES: u64 = 4 << 20;

impl Memory {
    /// Takes rights away from the pages of a region that are mapped with more than these. Without any right they are not mapped.
    fn lower_rights(&self, region: &Region, rights: Rights) -> Result<()> {
        let pages = region.pages.iter();
        if rights == Rights::NONE {
            return mapping::unmap(pages.map(|(&address, _)| address).filter(is_present));
        }
        let pages = pages.map(|(&address, &frame)| (address, frame));
        let exceeding = pages.filter(|&(address, _)| {
            let entry = page_tables::page_entry(address);
            entry.is_some_and(|entry| !rights.contains(rights_of(entry)))
        });
        mapping::protect(exceeding, rights, |frame| self.capabilities.of(frame))
    }

    /// Changes rights.
    pub fn protect(&mut self, start: u64, bytes: u64, rights: Rights) -> Result<()> {
        let end = self.check_present(start, bytes, Errno::ENOMEM)?;
        if self
            .overlapping(start, end)
            .all(|region| region.rights == rights)
        {
            return Ok(());
        }
        self.evacuate(start, end)?;
        self.cut(start);
        self.cut(end);
        self.let_write(start, end, rights)?;
        for (_, region) in self.regions.range(start..end) {
            self.lower_rights(region, rights)?;
        }
        for region in self.regions.range_mut(start..end).map(|(_, region)| region) {
            region.rights = rights;
        }
        // Who was refused will try again: once is enough.
        if let Some(page) = self.refused.take_if(|page| (start..end).contains(page))
            && rights != Rights::NONE
        {
            self.bring(page, rights);
        }
        Ok(())
    }

    /// The end of a range, of which every page is in some region.
    pub fn check_present(&self, start: u64, bytes: u64, overflow: Errno) -> Result {
        let end = round_up(bytes)
            .and_then(|bytes| start.checked_add(bytes))
            .ok_or(overflow)?;
        if !start.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        match self.is_mapped(start, end) {
            true => Ok(end),
            false => Err(Errno::ENOMEM),
        }
    }

    /// The regions that have some of a range.
    pub(super) fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = &Region> {
        let before = self.regions.range(..start).next_back();
        let before = before.filter(|(_, region)| region.end > start);
        let all = before.into_iter().chain(self.regions.range(start..end));
        all.map(|(_, region)| region)
    }

    /// Makes private memory read as zero again.
    pub fn discard(&mut self, start: u64, bytes: u64) -> Result<()> {
        let end = self.check_present(start, bytes, Errno::EINVAL)?;
        if end - start >= GIVE_BYTES {
            self.give_blocks(start, end)?;
        }
        let first = self.region(start).map_or(start, |(first, _)| first);
        let mut zeroed = Vec::new();
        let mut taken = Vec::new();
        for (&first, region) in self.regions.range_mut(first..end) {
            let (from, to) = (first.max(start), region.end.min(end));
            match region.kind {
                Kind::Arena => zeroed.push((from, to - from)),
                Kind::Lazy => {
                    let gone: BTreeMap<u64, u64> =
                        region.pages.extract_if(from..to, |_, _| true).collect();
                    mapping::unmap(gone.keys().copied().filter(is_present))?;
                    taken.extend(gone.into_values());
                }
                Kind::Image => {}
            }
        }
        for frame in taken {
            self.free_frames(frame, 1);
        }
        for (address, bytes) in zeroed {
            program_memory::zero(address, bytes)?;
        }
        Ok(())
    }
}
