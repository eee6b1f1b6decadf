//! Changes of what is there: the rights of pages, and their contents, which are given up.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use exo_abi::Rights;
use exo_abi::address::PAGE_SIZE;
use exo_rt::program_memory;

use super::region::{Kind, Region};
use super::{Memory, is_present, mapping, round_up};
use crate::errno::{Errno, Result};

impl Memory {
    /// Has the pages of a region that are there mapped with other rights than before. Without any they are not mapped.
    pub(super) fn change_rights(&self, start: u64, region: &Region, rights: Rights) -> Result<()> {
        let pages: BTreeMap<u64, u64> = match region.kind {
            Kind::Arena => self.arena.pages(start, region.end).collect(),
            Kind::Lazy | Kind::Image => region.pages.clone(),
        };
        let entries = pages.iter().map(|(&address, &frame)| (address, frame));
        let present = entries.clone().filter(|(address, _)| is_present(address));
        let capability = |frame| self.capabilities.of(frame);
        match (region.rights, rights) {
            (before, after) if before == after => Ok(()),
            (_, Rights::NONE) => mapping::unmap(present.map(|(address, _)| address)),
            (Rights::NONE, _) => mapping::map_pages(entries, rights, capability),
            _ => mapping::protect(present, rights, capability),
        }
    }

    /// Changes rights.
    pub fn protect(&mut self, start: u64, bytes: u64, rights: Rights) -> Result<()> {
        let end = round_up(bytes)
            .and_then(|bytes| start.checked_add(bytes))
            .ok_or(Errno::ENOMEM)?;
        if !start.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        if !self.is_mapped(start, end) {
            return Err(Errno::ENOMEM);
        }
        self.cut(start);
        self.cut(end);
        self.let_write(start, end, rights)?;
        for (&first, region) in self.regions.range(start..end) {
            self.change_rights(first, region, rights)?;
        }
        for region in self.regions.range_mut(start..end).map(|(_, region)| region) {
            region.rights = rights;
        }
        Ok(())
    }

    /// Makes private memory read as zero again.
    pub fn discard(&mut self, start: u64, bytes: u64) -> Result<()> {
        let end = round_up(bytes)
            .and_then(|bytes| start.checked_add(bytes))
            .ok_or(Errno::EINVAL)?;
        if !start.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        if !self.is_mapped(start, end) {
            return Err(Errno::ENOMEM);
        }
        self.cut(start);
        self.cut(end);
        let (mut taken, mut kept) = (Vec::new(), Vec::new());
        for (&first, region) in self.regions.range_mut(start..end) {
            match region.kind {
                Kind::Arena => {
                    kept.extend(self.arena.pages(first, region.end).map(|(_, frame)| frame));
                }
                Kind::Lazy => {
                    let pages = core::mem::take(&mut region.pages);
                    if region.rights != Rights::NONE {
                        mapping::unmap(pages.keys().copied())?;
                    }
                    taken.extend(pages.into_values());
                }
                Kind::Image => {}
            }
        }
        for frame in taken {
            self.free_frames(frame, 1);
        }
        for frame in kept {
            program_memory::zero(self.view(frame), PAGE_SIZE)?;
        }
        Ok(())
    }
}
