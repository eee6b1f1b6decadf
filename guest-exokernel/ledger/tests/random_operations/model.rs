//! What the ledger should do, said with maps: no counters, no states, no tables.

use std::collections::BTreeMap;

use exo_abi::call::ANY_FRAME;
use exo_abi::{EnvironmentId, Error, Kind, Rights};

use super::made::Made;
use crate::machine::*;

/// What a capability names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    pub holder: EnvironmentId,
    pub kind: Kind,
    pub part_of: u32,
    pub first: u64,
    pub count: u64,
    pub rights: Rights,
    /// The word from which it was derived.
    pub parent: Option<u64>,
    /// Whether the holder has bound it.
    pub bound: bool,
}

impl Resource {
    pub fn has_memory(&self) -> bool {
        matches!(self.kind, Kind::Frames | Kind::Blocks)
    }

    pub fn contains(&self, frame: u64) -> bool {
        (self.first..self.first + self.count).contains(&frame)
    }
}

/// Who has what. Ownership follows from the capabilities alone.
#[derive(Default)]
pub struct Model {
    /// By capability word.
    pub resources: BTreeMap<u64, Resource>,
    /// Words that are stale.
    pub stale: Vec<u64>,
    /// The highest generation of each slot.
    pub generations: BTreeMap<u32, u32>,
    /// Each mapping of a page: under which capability, of which page, and whether of a device.
    pub mappings: Vec<(u64, u64, bool)>,
    /// From whom each environment accepts: all ones, anybody.
    pub accepts: BTreeMap<u16, u64>,
    /// Page-table frames in use.
    pub tables: BTreeMap<u16, u32>,
    /// Those that were made and have not ended.
    pub made: BTreeMap<u16, Made>,
}

/// Whether all of these frames are memory, the kernel's included.
fn is_memory(first: u64, count: u64) -> bool {
    first
        .checked_add(count)
        .is_some_and(|end| end <= END && (first..end).all(|frame| frame / BLOCK != HOLE))
}

impl Model {
    /// The resource that `holder` names by `word`.
    pub fn resource(&self, holder: EnvironmentId, word: u64) -> Result<Resource, Error> {
        match self.resources.get(&word) {
            Some(resource) if resource.holder == holder => Ok(*resource),
            _ => Err(Error::BadCapability),
        }
    }

    /// Resources of `holder`.
    pub fn held(&self, holder: EnvironmentId) -> impl Iterator<Item = &Resource> {
        self.resources
            .values()
            .filter(move |resource| resource.holder == holder)
    }

    /// Frames that `holder` is charged for.
    pub fn frames(&self, holder: EnvironmentId) -> u64 {
        let roots = self.held(holder).filter(|root| root.parent.is_none());
        let memory = roots.filter(|resource| resource.has_memory());
        memory.map(|resource| resource.count).sum()
    }

    /// Whether none of these frames of the machine belongs to anybody.
    pub fn are_free(&self, first: u64, count: u64) -> bool {
        let end = first + count;
        first >= BLOCK
            && !self.resources.values().any(|resource| {
                resource.has_memory()
                    && resource.first < end
                    && first < resource.first + resource.count
            })
    }

    /// Whether a run of `count` frames is free, in one block.
    fn has_run(&self, count: u64) -> bool {
        (1..BLOCKS).filter(|&block| block != HOLE).any(|block| {
            let mut start = block * BLOCK;
            let end = start + BLOCK;
            // Only after something owned, or at the start of the block, can a longest run begin.
            while start + count <= end {
                if self.are_free(start, count) {
                    return true;
                }
                let behind = self.resources.values().filter(|resource| {
                    resource.has_memory() && resource.first + resource.count > start
                });
                let next = behind.map(|resource| resource.first + resource.count).min();
                start = next.unwrap_or(end);
            }
            false
        })
    }

    pub fn check_capability(&self, holder: EnvironmentId) -> Result<(), Error> {
        if self.held(holder).count() >= self.quotas(holder).capabilities as usize {
            Err(Error::Quota)
        } else if self.resources.len() >= SLOTS {
            Err(Error::Exhausted)
        } else {
            Ok(())
        }
    }

    fn check_frames(&self, holder: EnvironmentId, frames: u64) -> Result<(), Error> {
        if frames > u64::from(self.quotas(holder).frames) - self.frames(holder) {
            return Err(Error::Quota);
        }
        self.check_capability(holder)
    }

    fn check_named(&self, first: u64, count: u64) -> Result<(), Error> {
        if !is_memory(first, count) {
            Err(Error::OutOfRange)
        } else if !self.are_free(first, count) {
            Err(Error::Taken)
        } else {
            Ok(())
        }
    }

    /// What `frame_allocate` answers; `Ok`: how many frames.
    pub fn allocate(
        &self,
        caller: EnvironmentId,
        first: u64,
        count: u64,
        order: u64,
    ) -> Result<u64, Error> {
        let (most, size) = match order {
            0 => (BLOCK, 1),
            9 => (BLOCKS + 1, BLOCK),
            _ => return Err(Error::BadArgument),
        };
        if count == 0 || count > most {
            return Err(Error::BadCount);
        }
        if first != ANY_FRAME && !first.is_multiple_of(size) {
            return Err(Error::BadAddress);
        }
        let frames = count * size;
        self.check_frames(caller, frames)?;
        if first != ANY_FRAME {
            self.check_named(first, frames)?;
        } else {
            let found = match order {
                0 => self.has_run(count),
                _ => (1..BLOCKS).any(|block| {
                    is_memory(block * BLOCK, frames) && self.are_free(block * BLOCK, frames)
                }),
            };
            if !found {
                return Err(Error::Exhausted);
            }
        }
        Ok(frames)
    }

    /// What `claim_frames` answers.
    pub fn claim(&self, caller: EnvironmentId, first: u64, count: u64) -> Result<(), Error> {
        if count == 0 {
            return Err(Error::BadCount);
        }
        self.check_frames(caller, count)?;
        self.check_named(first, count)
    }

    /// Whether something is mapped under `word`.
    pub fn is_mapped(&self, word: u64) -> bool {
        self.mappings.iter().any(|&(under, ..)| under == word)
    }

    /// Whether anything keeps the resource of `word` from being given back.
    pub fn check_free(&self, word: u64) -> Result<(), Error> {
        let in_use = self.has_children(word) || self.is_mapped(word);
        if in_use { Err(Error::InUse) } else { Ok(()) }
    }

    /// What `page_map` answers for one run.
    pub fn map(
        &self,
        caller: EnvironmentId,
        word: u64,
        (first, count): (u64, u64),
        rights: Rights,
    ) -> Result<Kind, Error> {
        let resource = self.resource(caller, word)?;
        let device = matches!(resource.kind, Kind::Function | Kind::Queue);
        if !device && !resource.has_memory() {
            return Err(Error::WrongKind);
        }
        let needed = Rights(rights.0 & Rights::WRITE.0).union(Rights::READ);
        if !resource.rights.contains(needed) {
            return Err(Error::NotPermitted);
        }
        if device && !resource.bound {
            return Err(Error::BadState);
        }
        if device && rights.contains(Rights::EXECUTE) {
            return Err(Error::NotPermitted);
        }
        if count == 0 {
            return Err(Error::BadCount);
        }
        if device {
            let pages = match resource.kind {
                Kind::Function => is_page_of(resource.first as u32, first, count),
                _ => is_page_of_queue(resource.part_of, resource.first, first, count),
            };
            if !pages {
                return Err(Error::OutOfRange);
            }
        } else if !is_part_of(&resource, first, count) {
            return Err(Error::OutOfRange);
        }
        Ok(resource.kind)
    }

    /// What `function_bind` answers.
    pub fn bind(&mut self, caller: EnvironmentId, word: u64) -> Result<(), Error> {
        let resource = self.resource(caller, word)?;
        if resource.kind != Kind::Function {
            return Err(Error::WrongKind);
        }
        let bound = |other: &Resource| {
            other.kind == Kind::Function && other.first == resource.first && other.bound
        };
        if self.resources.values().any(bound) {
            return Err(Error::BadState);
        }
        let resource = self.resources.get_mut(&word);
        resource.ok_or(Error::BadCapability)?.bound = true;
        Ok(())
    }

    /// What `queue_bind` answers.
    pub fn bind_queue(&mut self, caller: EnvironmentId, word: u64) -> Result<(), Error> {
        let queue = self.resource(caller, word)?;
        if queue.kind != Kind::Queue {
            return Err(Error::WrongKind);
        }
        if !queue.rights.contains(Rights::READ_WRITE) {
            return Err(Error::NotPermitted);
        }
        if queue.count != 1 {
            return Err(Error::BadCount);
        }
        let is_bound = |name: Resource| {
            let mut resources = self.resources.values();
            resources.any(|other| {
                let same = (other.kind, other.part_of, other.first)
                    == (name.kind, name.part_of, name.first);
                same && other.bound
            })
        };
        let function = Resource {
            kind: Kind::Function,
            part_of: 0,
            first: u64::from(queue.part_of),
            ..queue
        };
        if !is_bound(function) || is_bound(queue) {
            return Err(Error::BadState);
        }
        let queue = self.resources.get_mut(&word);
        queue.ok_or(Error::BadCapability)?.bound = true;
        Ok(())
    }

    /// What `dma_map` answers.
    pub fn map_dma(
        &self,
        caller: EnvironmentId,
        word: u64,
        (first, count): (u64, u64),
        rights: Rights,
    ) -> Result<(), Error> {
        if ![Rights::READ, Rights::WRITE, Rights::READ_WRITE].contains(&rights) {
            return Err(Error::BadArgument);
        }
        let resource = self.resource(caller, word)?;
        if !resource.has_memory() {
            return Err(Error::WrongKind);
        }
        if !resource.rights.contains(rights) {
            return Err(Error::NotPermitted);
        }
        if count == 0 {
            return Err(Error::BadCount);
        }
        if !is_part_of(&resource, first, count) {
            return Err(Error::OutOfRange);
        }
        let rights = self.held(caller).filter(|other| other.kind == Kind::Dma);
        if rights.count() >= self.quotas(caller).dma_mappings as usize {
            return Err(Error::Quota);
        }
        self.check_capability(caller)
    }
}

/// Whether all these frames are of the resource.
pub fn is_part_of(resource: &Resource, first: u64, count: u64) -> bool {
    let end = first.checked_add(count);
    resource.contains(first) && end.is_some_and(|end| resource.contains(end - 1))
}

/// Whether all these pages are registers, or all are doorbells, of function `index`.
fn is_page_of(index: u32, first: u64, count: u64) -> bool {
    let pages = |start: u64, length: u64| {
        first >= start
            && first
                .checked_add(count)
                .is_some_and(|end| end <= start + length)
    };
    pages(registers(index), 4) || pages(doorbells(index), 2)
}

/// Whether this is the register page, or the doorbell, of a queue.
fn is_page_of_queue(function: u32, queue: u64, first: u64, count: u64) -> bool {
    let own = [registers(function) + 4 + queue, doorbells(function) + queue];
    count == 1 && own.contains(&first)
}
