//! What may be mapped under a capability, how often it is, and what may therefore be given back.

use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER, PAGE_SHIFT};
use exo_abi::capability::CapabilityEntry;
use exo_abi::frame::BlockState;
use exo_abi::function::{FunctionEntry, REGISTER_PAGES};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

const _: () = assert!(
    Kind::Frames as u8 == 1 && Kind::Blocks as u8 == 2,
    "the first kinds are memory"
);

use crate::Ledger;
use crate::memory::Allocation;
use crate::queues::Queue;

/// What a capability lets its holder map, with rights that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mappable {
    /// Whether these are pages of a device.
    pub device: bool,
    /// First page and pages of each range.
    ranges: [(u64, u64); 2],
}

impl Mappable {
    /// Whether `count` pages from `first` on are in one of the ranges.
    #[inline(always)]
    pub fn contains(&self, first: u64, count: u64) -> bool {
        self.ranges
            .iter()
            .any(|&range| lies_in(first, count, range))
    }
}

/// Page numbers of a function that the libOS which has bound it may map: registers, then doorbells.
fn function_pages(function: &FunctionEntry) -> [(u64, u64); 2] {
    let record = &function.record;
    [
        (record.registers >> PAGE_SHIFT, REGISTER_PAGES),
        (record.doorbells >> PAGE_SHIFT, u64::from(record.queues)),
    ]
}

/// Those of a queue that who has bound it may map: its registers, then its doorbell.
fn queue_pages(queue: &Queue) -> [(u64, u64); 2] {
    let number = u64::from(queue.number);
    let page = |bar: u64, number| (bar >> PAGE_SHIFT).saturating_add(number);
    [
        (
            page(
                queue.record.registers,
                REGISTER_PAGES.saturating_add(number),
            ),
            1,
        ),
        (page(queue.record.doorbells, number), 1),
    ]
}

/// Whether `first..first + count` lies in `start..start + length`.
#[inline(always)]
pub(crate) fn lies_in(first: u64, count: u64, (start, length): (u64, u64)) -> bool {
    first
        .checked_sub(start)
        .and_then(|offset| offset.checked_add(count))
        .is_some_and(|end| end <= length)
}

impl Ledger<'_> {
    /// Whether `holder` may map `count` pages from frame `first` on with `rights`. The answer says whether they are device pages.
    /// Order of checks: those of [`Self::check_mappable`], count, range.
    #[inline(always)] // a fifth of the path of mapping one page is here
    pub fn check_mapping(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Result<bool, Error> {
        let mappable = self.check_mappable(holder, capability, rights)?;
        if count == 0 {
            return Err(Error::BadCount);
        }
        if mappable.contains(first, count) {
            Ok(mappable.device)
        } else {
            Err(Error::OutOfRange)
        }
    }

    /// Whether `holder` may map one frame of memory with `rights`: [`Self::check_mapping`] in fewer instructions, where that refuses nothing.
    #[inline(always)]
    pub fn may_map_frame(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        frame: u64,
        rights: Rights,
    ) -> bool {
        let Ok(entry) = self.capability(holder, capability) else {
            return false;
        };
        let needed = rights.0 as u8 & Rights::WRITE.0 as u8 | Rights::READ.0 as u8;
        entry.kind <= Kind::Blocks as u8
            && needed & !entry.rights == 0
            && frame.wrapping_sub(entry.first) < entry.count
    }

    /// What `holder` may map with `rights` under a capability. Order of checks: capability, kind, rights, then function state.
    #[inline(always)]
    pub fn check_mappable(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        rights: Rights,
    ) -> Result<Mappable, Error> {
        let entry = self.capability(holder, capability)?;
        let device = match Kind::from_number(entry.kind) {
            Some(Kind::Frames | Kind::Blocks) => false,
            Some(Kind::Function | Kind::Queue) => true,
            _ => return Err(Error::WrongKind),
        };
        // A mapping is readable in any case, and whoever may read may execute: see `Rights::EXECUTE`.
        let needed = Rights((rights.0 & Rights::WRITE.0) | Rights::READ.0);
        if !Rights(u32::from(entry.rights)).contains(needed) {
            return Err(Error::NotPermitted);
        }
        let ranges = if device {
            self.check_function_pages(entry, rights)?
        } else {
            [(entry.first, entry.count), (0, 0)]
        };
        Ok(Mappable { device, ranges })
    }

    /// Whether `holder` may have words of a frame read, as a wakeup predicate does. Order of checks: capability, kind, right, range.
    pub fn check_read(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        frame: u64,
    ) -> Result<(), Error> {
        let entry = self.capability(holder, capability)?;
        if entry.kind != Kind::Frames as u8 && entry.kind != Kind::Blocks as u8 {
            return Err(Error::WrongKind);
        }
        if !Rights(u32::from(entry.rights)).contains(Rights::READ) {
            return Err(Error::NotPermitted);
        }
        if !lies_in(frame, 1, (entry.first, entry.count)) {
            return Err(Error::OutOfRange);
        }
        Ok(())
    }

    /// Device pages: of this function or queue, bound, and never executable.
    fn check_function_pages(
        &self,
        entry: &CapabilityEntry,
        rights: Rights,
    ) -> Result<[(u64, u64); 2], Error> {
        if entry.bound == 0 {
            return Err(Error::BadState);
        }
        if rights.contains(Rights::EXECUTE) {
            return Err(Error::NotPermitted);
        }
        if entry.kind == Kind::Queue as u8 {
            return Ok(queue_pages(&self.queue(entry)?));
        }
        self.function(entry.first as u32).map(function_pages)
    }

    /// Where the list of the mappings under the capability in `slot` begins; 0: there is none.
    #[inline(always)]
    pub fn first_mapping(&self, slot: u32) -> u32 {
        let entry = self.tables.capabilities.get(slot as usize);
        entry.map_or(0, |entry| entry.first_mapping)
    }

    /// Says where that list begins from now on. While it begins somewhere the capability is not freed.
    #[inline(always)]
    pub fn set_first_mapping(&mut self, slot: u32, link: u32) {
        if let Some(entry) = self.tables.capabilities.get_mut(slot as usize) {
            entry.first_mapping = link;
        }
    }

    /// The same, and where it began before.
    #[inline(always)]
    pub fn replace_first_mapping(&mut self, slot: u32, link: u32) -> u32 {
        let entry = self.tables.capabilities.get_mut(slot as usize);
        entry.map_or(0, |entry| {
            core::mem::replace(&mut entry.first_mapping, link)
        })
    }

    /// Records one page mapping of a frame of memory.
    #[inline(always)]
    pub fn add_mapping(&mut self, frame: u64) {
        let Some(block) = self.tables.blocks.get_mut((frame >> BLOCK_ORDER) as usize) else {
            return;
        };
        if block.state == BlockState::Whole as u8 {
            block.mappings = block.mappings.wrapping_add(1);
        } else if let Some(entry) = self.tables.frames.get_mut(frame as usize) {
            entry.mappings = entry.mappings.saturating_add(1);
        }
    }

    /// Records that one page mapping of memory is gone.
    #[inline(always)]
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

    /// Records that one page mapping of each of `count` frames from `first` on is gone. Cost: per block where blocks are whole.
    #[inline(always)]
    pub fn remove_mappings(&mut self, first: u64, count: u64) {
        self.change_mappings(first, count, u32::saturating_sub);
    }

    /// Records one page mapping of each of `count` frames from `first` on. Cost: per block where blocks are whole.
    pub fn add_mappings(&mut self, first: u64, count: u64) {
        self.change_mappings(first, count, u32::saturating_add);
    }

    /// Frames that passed `check_mapping` are memory: nothing here wraps.
    #[inline(always)]
    fn change_mappings(&mut self, first: u64, count: u64, change: impl Fn(u32, u32) -> u32) {
        let end = first.wrapping_add(count);
        let mut frame = first;
        while frame < end {
            let next = (frame | (BLOCK_FRAMES - 1)).wrapping_add(1).min(end);
            let Some(block) = self.tables.blocks.get_mut((frame >> BLOCK_ORDER) as usize) else {
                return;
            };
            if block.state == BlockState::Whole as u8 {
                block.mappings = change(block.mappings, next.wrapping_sub(frame) as u32);
            } else {
                let frames = self.tables.frames.get_mut(frame as usize..next as usize);
                for entry in frames.unwrap_or_default() {
                    entry.mappings = change(entry.mappings, 1);
                }
            }
            frame = next;
        }
    }

    /// Records one mapping of each of `count` blocks from frame `first` on, which are whole, as a page of 2 MiB.
    pub fn add_block_mappings(&mut self, first: u64, count: u64) {
        let start = (first >> BLOCK_ORDER) as usize;
        let blocks = self
            .tables
            .blocks
            .get_mut(start..start.wrapping_add(count as usize));
        for block in blocks.unwrap_or_default() {
            block.mappings = block.mappings.wrapping_add(1);
        }
    }

    /// Whether `holder` may map `count` blocks from frame `first` on with `rights`, each as a page of 2 MiB. Order of checks: those of
    /// [`Self::check_mappable`], kind, count, alignment, range.
    pub fn check_block_mapping(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Result<(), Error> {
        let mappable = self.check_mappable_blocks(holder, capability, rights)?;
        if count == 0 {
            return Err(Error::BadCount);
        }
        if !first.is_multiple_of(BLOCK_FRAMES) {
            return Err(Error::BadAddress);
        }
        let frames = count.checked_mul(BLOCK_FRAMES).ok_or(Error::BadCount)?;
        match mappable.contains(first, frames) {
            true => Ok(()),
            false => Err(Error::OutOfRange),
        }
    }

    /// [`Self::check_mappable`] for pages of 2 MiB: only what was allocated as blocks is owned as blocks.
    pub fn check_mappable_blocks(
        &self,
        holder: EnvironmentId,
        capability: Capability,
        rights: Rights,
    ) -> Result<Mappable, Error> {
        let mappable = self.check_mappable(holder, capability, rights)?;
        if self.capability(holder, capability)?.kind != Kind::Blocks as u8 {
            return Err(Error::WrongKind);
        }
        Ok(mappable)
    }

    /// What freeing `capability` would give back; refused while others are derived from it, or something is mapped under it.
    pub fn check_free(
        &self,
        holder: EnvironmentId,
        capability: Capability,
    ) -> Result<CapabilityEntry, Error> {
        let entry = self.capability(holder, capability)?;
        if entry.first_child != 0 || entry.first_mapping != 0 {
            return Err(Error::InUse);
        }
        Ok(*entry)
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
                if entry.guaranteed != 0
                    && let Some(environment) = self.environment_mut(holder)
                {
                    let guaranteed = &mut environment.frames_guaranteed;
                    *guaranteed = guaranteed.saturating_sub(entry.count as u32);
                }
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
            Some(Kind::Queue) => self.commit_unbind_queue(capability),
            Some(Kind::Extent) if entry.bound != 0 => {
                self.commit_unbind_extent(entry.bound);
            }
            Some(Kind::Dma) => self.remove_dma(holder),
            Some(Kind::Slice) if entry.bound != 0 => self.remove_slices(holder, entry.count),
            _ => {}
        }
        self.remove_capability(holder, capability.slot());
    }
}
