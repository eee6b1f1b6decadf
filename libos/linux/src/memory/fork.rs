//! Fork of a process's memory: what may be written is copied at once, what may not is shared.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use exo_abi::Rights;
use exo_abi::address::{BLOCK_FRAMES, BLOCK_SIZE, PAGE_SIZE};
use exo_rt::gate::Target;
use exo_rt::program_memory;

use super::arena::Arena;
use super::frames::{Capabilities, Run};
use super::mapping::Batch;
use super::region::{Kind, Region};
use super::{Memory, is_present, mapping};
use crate::errno::{Errno, Result};

impl Memory {
    /// The memory of a child, which is like this, mapped in its environment. Where that fails, what was taken is given back.
    pub fn fork(&mut self, target: Target, capabilities: Capabilities) -> Result<Self> {
        let mut child = Self {
            frames: self.frames.clone(),
            capabilities,
            regions: BTreeMap::new(),
            next_lazy: self.next_lazy,
            arena: Arena::beside(&self.arena),
            program_break: self.program_break,
            refused: None,
            evacuations: self.evacuations,
        };
        let mut batch = Batch::new(target);
        if let Err(error) = self.fork_blocks(&mut child, &mut batch) {
            child.give_back();
            return Err(error);
        }
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
        let blocks = self.arena.blocks(0, super::MEMORY_END);
        mapping::unmap_blocks(blocks.map(|(block, _)| block * BLOCK_SIZE))?;
        self.give_back();
        *self = Self {
            capabilities: core::mem::take(&mut self.capabilities),
            ..Self::new(self.frames.clone())
        };
        Ok(())
    }

    /// Gives a child blocks where this has some, as long as there are so many. The pages that nobody has are free there too.
    fn fork_blocks(&mut self, child: &mut Self, batch: &mut Batch) -> Result<()> {
        let Self {
            arena,
            frames,
            capabilities,
            ..
        } = self;
        for (block, _) in arena.blocks(0, super::MEMORY_END) {
            let is_idle =
                arena.free_pages(block).map(|(_, pages)| pages).sum::<u64>() == BLOCK_FRAMES;
            if is_idle || !frames.borrow().has_plenty() {
                continue;
            }
            let Some(run) = frames.borrow_mut().take_block(capabilities) else {
                break;
            };
            child.arena.lend(block, run.first);
            for (start, pages) in arena.free_pages(block) {
                child.arena.free(start, pages, run.is_clean);
            }
            let capability = child.capabilities.of(run.first);
            let start = block * BLOCK_SIZE;
            batch.add_large(start, run.first, 1, Rights::READ_WRITE, capability)?;
        }
        Ok(())
    }

    /// Copies a region of the arena to the blocks that a child has for it, or else to pages: those, addresses to frames.
    fn fork_arena(&mut self, child: &mut Self, start: u64, end: u64) -> Result<BTreeMap<u64, u64>> {
        let mut rest = BTreeMap::new();
        let blocks: Vec<_> = self.arena.blocks(start, end).collect();
        for (block, first) in blocks {
            let address = block * BLOCK_SIZE;
            let (from, to) = (start.max(address), end.min(address + BLOCK_SIZE));
            let mut region = Region::new(to, Rights::READ_WRITE, Kind::Arena);
            match child.arena.frame_of(block) {
                Some(frame) => {
                    let view = self.view(frame) + (from - address);
                    program_memory::copy(from, view, to - from)?;
                }
                None => {
                    let pages = (from..to).step_by(PAGE_SIZE as usize);
                    let pages = pages.map(|page| (page, first + (page - address) / PAGE_SIZE));
                    region.kind = Kind::Lazy;
                    let copies = self.copy_pages(&pages.collect(), |address, first, count| {
                        let pages =
                            (0..count).map(|page| (address + page * PAGE_SIZE, first + page));
                        region.pages.extend(pages);
                    });
                    // What was taken is given back with the region.
                    match copies {
                        Ok(copies) => rest.extend(copies),
                        Err(error) => {
                            child.regions.insert(from, region);
                            return Err(error);
                        }
                    }
                }
            }
            child.regions.insert(from, region);
        }
        Ok(rest)
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
            is_dense: region.is_dense,
            grows_down: region.grows_down,
            ..Region::new(region.end, region.rights, region.kind)
        };
        let pages = match region.kind {
            Kind::Image => {
                copy.pages = region.pages.clone();
                BTreeMap::new()
            }
            Kind::Lazy => self.copy_pages(&region.pages, |address, first, count| {
                let pages = (0..count).map(|page| (address + page * PAGE_SIZE, first + page));
                copy.pages.extend(pages);
            })?,
            Kind::Arena => self.fork_arena(child, start, region.end)?,
        };
        if region.kind != Kind::Arena {
            child.regions.insert(start, copy);
        }
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
                let mut places = (place..).step_by(PAGE_SIZE as usize);
                let from = match places
                    .by_ref()
                    .take(run.count as usize)
                    .all(|page| is_present(&page))
                {
                    true => place,
                    false => self.view(frame + done),
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
