//! Fork of a process's memory: what may be written is copied at once, what may not is shared.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use exo_abi::Rights;
use exo_abi::address::{BLOCK_FRAMES, BLOCK_SIZE, PAGE_SIZE};
use exo_rt::gate::Target;
use exo_rt::program_memory;

use super::arena::Arena;
use super::frames::{Capabilities, Run};
use super::kept::Kept;
use super::mapping::Batch;
use super::region::{Kind, Region};
use super::{Memory, is_present};
use crate::errno::{Errno, Result};

impl Memory {
    /// The memory of a child, which is like this, in its environment, where `kept` is mapped. Where that fails, what was taken is given back.
    pub fn fork(
        &mut self,
        target: Target,
        capabilities: Capabilities,
        mut kept: Kept,
    ) -> Result<Self> {
        let mut child = Self {
            frames: self.frames.clone(),
            capabilities,
            regions: BTreeMap::new(),
            next_lazy: self.next_lazy,
            arena: Arena::beside(&self.arena),
            program_break: self.program_break,
            refused: None,
            evacuations: self.evacuations,
            kept: self.choose_kept(&mut kept),
            is_torn: false,
            places: self.places.clone(),
        };
        let unmapped = kept.unmap(target);
        kept.give_back(self);
        let regions = core::mem::take(&mut self.regions);
        let copied = unmapped.and_then(|()| self.fork_regions(&mut child, target, &regions));
        self.regions = regions;
        if let Err(error) = copied {
            core::mem::take(&mut child.kept).give_back(self);
            child.give_back();
            return Err(error);
        }
        Ok(child)
    }

    /// Takes out of what is mapped in an environment what a child that is like this takes as it is.
    fn choose_kept(&self, kept: &mut Kept) -> Kept {
        let mut wanted = Kept::default();
        for (block, _) in self.arena.blocks(0, super::MEMORY_END) {
            if let Some(first) = kept.blocks.remove(&block) {
                wanted.blocks.insert(block, first);
            }
        }
        for region in self.regions.values() {
            match region.kind {
                Kind::Arena => {}
                Kind::Lazy if region.rights == Rights::NONE => {}
                Kind::Lazy => for_each_run(&region.pages, false, |address, _, pages| {
                    let range = (address, address + pages * PAGE_SIZE);
                    kept.choose(range, &mut wanted, |_, run| {
                        run.is_own && region.rights.contains(run.rights)
                    });
                    Ok(())
                })
                .unwrap_or_default(),
                Kind::Image => for_each_run(&region.pages, true, |address, first, pages| {
                    let range = (address, address + pages * PAGE_SIZE);
                    kept.choose(range, &mut wanted, |place, run| {
                        !run.is_own
                            && region.rights.contains(run.rights)
                            && run.frame == first + (place - address) / PAGE_SIZE
                    });
                    Ok(())
                })
                .unwrap_or_default(),
            }
        }
        wanted
    }

    fn fork_regions(
        &mut self,
        child: &mut Self,
        target: Target,
        regions: &BTreeMap<u64, Region>,
    ) -> Result<()> {
        let mut batch = Batch::new(target);
        self.fork_blocks(child, &mut batch)?;
        for (&start, region) in regions {
            self.fork_region(child, &mut batch, start, region)?;
        }
        batch.flush()
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
            let kept = child.kept.blocks.remove(&block);
            let mut is_clean = false;
            match kept {
                Some(first) => child.arena.lend(block, first),
                None => {
                    let free: u64 = arena.free_pages(block).map(|(_, pages)| pages).sum();
                    if free == BLOCK_FRAMES || !frames.borrow().has_plenty() {
                        continue;
                    }
                    let Some(run) = frames.borrow_mut().take_block(capabilities) else {
                        break;
                    };
                    is_clean = run.is_clean;
                    child.arena.lend(block, run.first);
                    let capability = child.capabilities.of(run.first);
                    let start = block * BLOCK_SIZE;
                    batch.add_large(start, run.first, 1, Rights::READ_WRITE, capability)?;
                }
            }
            for (start, pages) in arena.free_pages(block) {
                child.arena.free(start, pages, is_clean);
            }
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
                    let kept = &mut child.kept;
                    let copies =
                        self.copy_pages(&pages.collect(), kept, |address, first, count| {
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
                child.kept.take(start, region.end);
                BTreeMap::new()
            }
            Kind::Lazy => {
                self.copy_pages(&region.pages, &mut child.kept, |address, first, count| {
                    let pages = (0..count).map(|page| (address + page * PAGE_SIZE, first + page));
                    copy.pages.extend(pages);
                })?
            }
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

    /// Copies pages, by address and frame, to frames that are kept for them, or else taken. `take_note` is told of all at once; those that are not
    /// mapped yet come back: addresses to frames.
    fn copy_pages(
        &mut self,
        pages: &BTreeMap<u64, u64>,
        kept: &mut Kept,
        mut take_note: impl FnMut(u64, u64, u64),
    ) -> Result<BTreeMap<u64, u64>> {
        let mut copies = BTreeMap::new();
        for_each_run(pages, true, |address, frame, count| {
            let mut done = 0;
            while done < count {
                let place = address + done * PAGE_SIZE;
                let (first, pages, is_mapped) = match kept.take_at(place, count - done) {
                    Ok(run) => (run.frame, run.pages, true),
                    Err(gap) => {
                        let run = self.take_up_to(gap).ok_or(Errno::ENOMEM)?;
                        (run.first, run.count, false)
                    }
                };
                take_note(place, first, pages);
                let mut places = (place..).step_by(PAGE_SIZE as usize).take(pages as usize);
                let from = match places.all(|page| is_present(&page)) {
                    true => place,
                    false => self.view(frame + done),
                };
                program_memory::copy(from, self.view(first), pages * PAGE_SIZE)?;
                if !is_mapped {
                    let pages = (0..pages).map(|page| (place + page * PAGE_SIZE, first + page));
                    copies.extend(pages);
                }
                done += pages;
            }
            Ok(())
        })?;
        Ok(copies)
    }

    /// Takes frames in a row, fewer than wanted if there are not so many.
    pub(super) fn take_up_to(&mut self, wanted: u64) -> Option<Run> {
        let mut count = wanted;
        while count != 0 {
            let taken = self.frames.borrow_mut().take(count, &mut self.capabilities);
            if taken.is_some() {
                return taken;
            }
            count /= 2;
        }
        self.take_run(1)
    }
}

/// Does `work` for each run of pages, given by address and frame: first address, first frame, pages. Whether the frames have to be
/// neighbours too, is said.
fn for_each_run(
    pages: &BTreeMap<u64, u64>,
    by_frame: bool,
    mut work: impl FnMut(u64, u64, u64) -> Result<()>,
) -> Result<()> {
    let mut rest = pages.iter().peekable();
    while let Some((&address, &frame)) = rest.next() {
        let mut count = 1;
        while rest
            .next_if(|&(&next, &other)| {
                next == address + count * PAGE_SIZE && (!by_frame || other == frame + count)
            })
            .is_some()
        {
            count += 1;
        }
        work(address, frame, count)?;
    }
    Ok(())
}
