//! Fork of a process's memory: what may be written is copied at once, what may not is shared.

use alloc::collections::BTreeMap;

use exo_abi::Rights;
use exo_abi::address::PAGE_SIZE;
use exo_rt::gate::Target;
use exo_rt::program_memory;

use super::arena::Arena;
use super::frames::{Capabilities, Run};
use super::mapping::Batch;
use super::region::{Kind, Region};
use super::{ARENA_START, Memory, is_present, mapping};
use crate::errno::{Errno, Result};

impl Memory {
    /// The memory of a child, which is like this, mapped in its environment. Where that fails, what was taken is given back.
    pub fn fork(&mut self, target: Target, capabilities: Capabilities) -> Result<Self> {
        let mut child = Self {
            frames: self.frames.clone(),
            capabilities,
            regions: BTreeMap::new(),
            next_lazy: self.next_lazy,
            arena: Arena::new(ARENA_START),
            program_break: self.program_break,
        };
        child.arena.skip_to(&self.arena);
        let mut batch = Batch::new(target);
        let regions = core::mem::take(&mut self.regions);
        let copied = regions.iter().try_for_each(|(&start, region)| {
            self.fork_region(&mut child, &mut batch, start, region)
        });
        self.regions = regions;
        if let Err(error) = copied.and_then(|()| batch.flush()) {
            child.give_back();
            return Err(error);
        }
        Ok(child)
    }

    /// Unmaps everything and gives all frames back: the process is about to execute another program.
    pub fn clear(&mut self) -> Result<()> {
        for region in self.regions.values() {
            if region.rights != Rights::NONE {
                mapping::unmap(region.pages.keys().copied().filter(is_present))?;
            }
        }
        let arena = self.arena.pages(0, super::MEMORY_END);
        mapping::unmap(arena.map(|(address, _)| address).filter(is_present))?;
        self.give_back();
        *self = Self {
            capabilities: core::mem::take(&mut self.capabilities),
            ..Self::new(self.frames.clone())
        };
        Ok(())
    }

    fn fork_region(
        &mut self,
        child: &mut Self,
        batch: &mut Batch,
        start: u64,
        region: &Region,
    ) -> Result<()> {
        let mut copy = Region {
            file: region.file.clone(),
            ..Region::new(region.end, region.rights, region.kind)
        };
        let pages = match region.kind {
            Kind::Image => {
                copy.pages = region.pages.clone();
                BTreeMap::new()
            }
            Kind::Lazy => {
                self.copy_pages(&region.pages, region.rights, |address, first, count| {
                    let pages = (0..count).map(|page| (address + page * PAGE_SIZE, first + page));
                    copy.pages.extend(pages);
                })?
            }
            Kind::Arena => {
                let pages = self.arena.pages(start, region.end).collect();
                self.copy_pages(&pages, region.rights, |address, first, count| {
                    child.arena.back(address, first, count);
                })?
            }
        };
        child.regions.insert(start, copy);
        // Pages of the image come when they are touched: a child needs few of them before it executes another program.
        if region.rights == Rights::NONE || region.kind == Kind::Image {
            return Ok(());
        }
        batch.add_pages(pages.into_iter(), region.rights, |frame| {
            child.capabilities.of(frame)
        })
    }

    /// Copies pages, by address and frame, to frames that are taken for them, of which `take_note` is told at once: addresses to frames.
    fn copy_pages(
        &mut self,
        pages: &BTreeMap<u64, u64>,
        rights: Rights,
        mut take_note: impl FnMut(u64, u64, u64),
    ) -> Result<BTreeMap<u64, u64>> {
        let mut copies = BTreeMap::new();
        let mut rest = pages.iter().peekable();
        while let Some((&address, &frame)) = rest.next() {
            let mut count = 1;
            while rest
                .next_if(|&(&next, &other)| {
                    next == address + count * PAGE_SIZE && other == frame + count
                })
                .is_some()
            {
                count += 1;
            }
            let mut done = 0;
            while done < count {
                let run = self.take_up_to(count - done).ok_or(Errno::ENOMEM)?;
                let place = address + done * PAGE_SIZE;
                take_note(place, run.first, run.count);
                let from = match rights {
                    Rights::NONE => self.view(frame + done),
                    _ => place,
                };
                let to = self.view(run.first);
                program_memory::copy(from, to, run.count * PAGE_SIZE)?;
                let pages = (0..run.count).map(|page| (place + page * PAGE_SIZE, run.first + page));
                copies.extend(pages);
                done += run.count;
            }
        }
        Ok(copies)
    }

    /// Takes frames in a row, fewer than wanted if there are not so many.
    fn take_up_to(&mut self, wanted: u64) -> Option<Run> {
        let mut count = wanted;
        while count != 0 {
            let taken = self.frames.borrow_mut().take(count, &mut self.capabilities);
            if taken.is_some() {
                return taken;
            }
            count /= 2;
        }
        None
    }
}
