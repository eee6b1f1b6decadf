//! What may be mapped under a capability, how often it is, and what may therefore be given back.

use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER, PAGE_SHIFT};
use exo_abi::capability::CapabilityEntry;
use exo_abi::frame::BlockState;
use exo_abi::function::{FunctionEntry, REGISTER_PAGES};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::Ledger;
use crate::memory::Allocation;

/// Page numbers of a function that the libOS which has bound it may map: registers, then doorbells.
fn mappable(function: &FunctionEntry) -> [(u64, u64); 2] {
    let record = &function.record;
    [
        (record.registers >> PAGE_SHIFT, REGISTER_PAGES),
        (record.doorbells >> PAGE_SHIFT, u64::from(record.queues)),
    ]
}

/// Whether `first..first + count` lies in `start..start + length`.
fn lies_in(first: u64, count: u64, (start, length): (u64, u64)) -> bool {
    first
        .checked_sub(start)
        .and_then(|offset| offset.checked_add(count))
        .is_some_and(|end| end <= length)
}

impl Ledger<'_> {
    /// Whether `holder` may map `count` pages from frame `first` on with `rights`. The answer says whether they are device pages.
    /// Order of checks: capability, kind, rights, count, then function state and range, or range.
    #[inline(always)] // a fifth of the path of mapping one page is here
    pub fn check_mapping(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Result<Kind, Error> {
        let entry = self.capability(holder, capability)?;
        let kind = match Kind::from_number(entry.kind) {
            Some(kind @ (Kind::Frames | Kind::Blocks | Kind::Function)) => kind,
            _ => return Err(Error::WrongKind),
        };
        // What is mapped under a derived capability must be found again when that is revoked, and it is not yet.
        if entry.depth != 0 {
            return Err(Error::NotPermitted);
        }
        // A mapping is readable in any case, and whoever may read may execute: see `Rights::EXECUTE`.
        let needed = Rights((rights.0 & Rights::WRITE.0) | Rights::READ.0);
        if !Rights(u32::from(entry.rights)).contains(needed) {
            return Err(Error::NotPermitted);
        }
        if count == 0 {
            return Err(Error::BadCount);
        }
        if kind == Kind::Function {
            self.check_function_pages(entry, first, count, rights)?;
        } else if !lies_in(first, count, (entry.first, entry.count)) {
            return Err(Error::OutOfRange);
        }
        Ok(kind)
    }

    /// Device pages: of this function, bound, and never executable.
    fn check_function_pages(
        &self,
        entry: &CapabilityEntry,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Result<(), Error> {
        let function = self
            .tables
            .functions
            .get(entry.first as usize)
            .ok_or(Error::OutOfRange)?;
        if entry.bound == 0 {
            return Err(Error::BadState);
        }
        if rights.contains(Rights::EXECUTE) {
            return Err(Error::NotPermitted);
        }
        if mappable(function)
            .iter()
            .any(|&range| lies_in(first, count, range))
        {
            Ok(())
        } else {
            Err(Error::OutOfRange)
        }
    }

    /// Records that one page mapping of memory is gone.
    pub fn remove_mapping(&mut self, frame: u64) {
        let Some(block) = self.tables.blocks.get_mut((frame >> BLOCK_ORDER) as usize) else {
            return;
        };
        if block.state == BlockState::Whole as u8 {
            block.mappings = block.mappings.saturating_sub(1);
        } else if let Some(entry) = self.tables.frames.get_mut(frame as usize) {
            entry.mappings = entry.mappings.saturating_sub(1);
        }
    }

    /// Records one page mapping of each of `count` frames from `first` on. Cost: per block where blocks are whole.
    pub fn add_mappings(&mut self, first: u64, count: u64) {
        // Frames that passed `check_mapping` are memory: nothing here wraps.
        let end = first.wrapping_add(count);
        let mut frame = first;
        while frame < end {
            let next = (frame | (BLOCK_FRAMES - 1)).wrapping_add(1).min(end);
            let Some(block) = self.tables.blocks.get_mut((frame >> BLOCK_ORDER) as usize) else {
                return;
            };
            if block.state == BlockState::Whole as u8 {
                block.mappings = block.mappings.wrapping_add(next.wrapping_sub(frame) as u32);
            } else {
                for entry in self
                    .tables
                    .frames
                    .get_mut(frame as usize..next as usize)
                    .unwrap_or_default()
                {
                    entry.mappings = entry.mappings.saturating_add(1);
                }
            }
            frame = next;
        }
    }

    /// Records one page mapping of a device page.
    pub fn add_device_mapping(&mut self, page: u64) {
        if let Some(function) = self.function_of_page(page) {
            function.mappings = function.mappings.saturating_add(1);
        }
    }

    /// Records that one page mapping of a device page is gone.
    pub fn remove_device_mapping(&mut self, page: u64) {
        if let Some(function) = self.function_of_page(page) {
            function.mappings = function.mappings.saturating_sub(1);
        }
    }

    fn function_of_page(&mut self, page: u64) -> Option<&mut FunctionEntry> {
        self.tables.functions.iter_mut().find(|function| {
            mappable(function)
                .iter()
                .any(|&range| lies_in(page, 1, range))
        })
    }

    /// What freeing `capability` would give back; refused while others are derived from it, or any of it is mapped.
    pub fn check_free(
        &self,
        holder: EnvironmentId,
        capability: Capability,
    ) -> Result<CapabilityEntry, Error> {
        let entry = self.capability(holder, capability)?;
        if entry.first_child != 0 || entry.first_mapping != 0 || self.is_mapped(entry) {
            return Err(Error::InUse);
        }
        Ok(*entry)
    }

    /// Whether what a capability without children names is mapped, as the counts of the resource say.
    fn is_mapped(&self, entry: &CapabilityEntry) -> bool {
        if entry.parent != 0 {
            return false;
        }
        let (first, end) = (entry.first, entry.first.saturating_add(entry.count));
        match Kind::from_number(entry.kind) {
            Some(Kind::Frames) => self
                .tables
                .frames
                .get(first as usize..end as usize)
                .unwrap_or_default()
                .iter()
                .any(|frame| frame.mappings != 0),
            Some(Kind::Blocks) => self
                .tables
                .blocks
                .get((first >> BLOCK_ORDER) as usize..(end >> BLOCK_ORDER) as usize)
                .unwrap_or_default()
                .iter()
                .any(|block| block.mappings != 0),
            Some(Kind::Function) => self
                .tables
                .functions
                .get(first as usize)
                .is_some_and(|function| function.mappings != 0),
            _ => false,
        }
    }

    /// Gives back what `capability` names, after [`Self::check_free`], or when its holder has ended, or when it is revoked: then
    /// what was derived from it has gone before. What a derived capability names stays its root's. While
    /// something is derived from it, nothing happens.
    pub fn commit_free(&mut self, holder: EnvironmentId, capability: Capability) {
        let Ok(&entry) = self.capability(holder, capability) else {
            return;
        };
        if entry.first_child != 0 {
            return;
        }
        let root = entry.parent == 0;
        match Kind::from_number(entry.kind) {
            Some(kind @ (Kind::Frames | Kind::Blocks)) if root => {
                self.give_back(
                    holder,
                    Allocation {
                        kind,
                        first: entry.first,
                        count: entry.count,
                    },
                );
            }
            Some(Kind::Function) => {
                self.commit_unbind(capability);
                if root {
                    self.release_function(entry.first as u32, holder);
                }
            }
            Some(Kind::Dma) => self.remove_dma(holder),
            _ => {}
        }
        self.remove_capability(holder, capability);
    }
}
