//! What is mapped in an environment that has no program at the moment. The next one takes of it what it wants to have mapped at the same
//! address, and has only the rest unmapped and mapped.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use exo_abi::address::{BLOCK_FRAMES, BLOCK_SIZE, PAGE_SIZE};
use exo_abi::{Capability, Rights};
use exo_rt::gate::Target;
use exo_rt::page_tables;

use super::arena::Arena;
use super::fault::rights_of;
use super::frames::Run;
use super::mapping::Batch;
use super::region::{Kind, Region};
use super::{ARENA_START, Memory, SMALL, mapping};
use crate::errno::{Errno, Result};

/// Pages in a row that are mapped alike.
#[derive(Clone, Copy, Debug)]
pub struct KeptRun {
    /// First frame.
    pub frame: u64,
    /// How many.
    pub pages: u64,
    /// What they are mapped for.
    pub rights: Rights,
    /// Whether nobody else uses the frames.
    pub is_own: bool,
}

impl KeptRun {
    /// The part from one page of it on.
    fn part(self, first: u64, pages: u64) -> Self {
        Self {
            frame: self.frame + first,
            pages,
            ..self
        }
    }
}

/// What is mapped, and means nothing.
#[derive(Debug, Default)]
pub struct Kept {
    /// By first address.
    runs: BTreeMap<u64, KeptRun>,
    /// First frames of whole blocks, by address divided by their size. Nobody else uses them.
    pub blocks: BTreeMap<u64, u64>,
}

impl Kept {
    /// Adds a page behind all that were added before.
    fn push(&mut self, address: u64, page: KeptRun) {
        if let Some((&start, run)) = self.runs.iter_mut().next_back()
            && start + run.pages * PAGE_SIZE == address
            && run.frame + run.pages == page.frame
            && (run.rights, run.is_own) == (page.rights, page.is_own)
        {
            run.pages += 1;
            return;
        }
        self.runs.insert(address, page);
    }

    /// Takes what there is of a range.
    pub fn take(&mut self, start: u64, end: u64) -> Vec<(u64, KeptRun)> {
        let mut taken = Vec::new();
        while let Some((&first, &run)) = self.runs.range(..end).next_back() {
            let behind = first + run.pages * PAGE_SIZE;
            if behind <= start {
                break;
            }
            self.runs.remove(&first);
            let (from, to) = (first.max(start), behind.min(end));
            let pages = |from: u64, to: u64| (to - from) / PAGE_SIZE;
            if first < from {
                self.runs.insert(first, run.part(0, pages(first, from)));
            }
            if to < behind {
                let part = run.part(pages(first, to), pages(to, behind));
                self.runs.insert(to, part);
            }
            taken.push((from, run.part(pages(first, from), pages(from, to))));
        }
        taken
    }

    /// Moves what there is of a range, and is as `fits` says, to what is wanted.
    pub fn choose(
        &mut self,
        (start, end): (u64, u64),
        wanted: &mut Self,
        fits: impl Fn(u64, KeptRun) -> bool,
    ) {
        for (address, run) in self.take(start, end) {
            let runs = match fits(address, run) {
                true => &mut wanted.runs,
                false => &mut self.runs,
            };
            runs.insert(address, run);
        }
    }

    /// Takes the pages at an address, at most so many; else how many up to the next that are there.
    pub fn take_at(&mut self, address: u64, pages: u64) -> core::result::Result<KeptRun, u64> {
        let end = address + pages * PAGE_SIZE;
        let before = self.runs.range(..=address).next_back();
        match before.map(|(&start, run)| start + run.pages * PAGE_SIZE) {
            Some(behind) if behind > address => self
                .take(address, end.min(behind))
                .pop()
                .map(|(_, run)| run)
                .ok_or(pages),
            _ => {
                let next = self.runs.range(address..end).next();
                Err(next.map_or(pages, |(&next, _)| (next - address) / PAGE_SIZE))
            }
        }
    }

    /// Unmaps everything in the environment where it is mapped.
    pub fn unmap(&self, target: Target) -> Result<()> {
        let mut batch = Batch::unmapping(target);
        for (&address, run) in &self.runs {
            batch.add(address, 0, run.pages, Rights::NONE, Capability::NONE)?;
        }
        for &block in self.blocks.keys() {
            batch.add_large(block * BLOCK_SIZE, 0, 1, Rights::NONE, Capability::NONE)?;
        }
        batch.flush()
    }

    /// Gives the frames back that nobody else uses.
    pub fn give_back(self, memory: &Memory) {
        for run in self.runs.values().filter(|run| run.is_own) {
            memory.free_frames(run.frame, run.pages);
        }
        for first in self.blocks.into_values() {
            memory.free_frames(first, BLOCK_FRAMES);
        }
    }
}

/// Whether a block lies where the arena grows.
fn is_of_arena(block: u64) -> bool {
    (ARENA_START..SMALL.start).contains(&(block * BLOCK_SIZE))
}

/// Blocks that a program gets of the one before.
const ARENA_BLOCKS: usize = 2;

/// What a program wants to have mapped where.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// First address.
    pub start: u64,
    /// How many pages.
    pub pages: u64,
    /// What for.
    pub rights: Rights,
    /// The first frame, if it is the same for every process; else the process has its own.
    pub shared: Option<u64>,
}

impl Wanted {
    /// Where it ends.
    pub const fn end(&self) -> u64 {
        self.start + self.pages * PAGE_SIZE
    }
}

impl Memory {
    /// Takes all memory away from the process; what is mapped stays mapped.
    pub fn keep(&mut self) -> Kept {
        let mut kept = Kept::default();
        let regions = core::mem::take(&mut self.regions);
        for region in regions.values() {
            let is_own = match region.kind {
                Kind::Arena => continue,
                Kind::Lazy => true,
                Kind::Image => false,
            };
            for (&address, &frame) in &region.pages {
                match page_tables::page_entry(address) {
                    Some(entry) if entry.frame() == frame => kept.push(
                        address,
                        KeptRun {
                            frame,
                            pages: 1,
                            rights: rights_of(entry),
                            is_own,
                        },
                    ),
                    _ if is_own => self.free_frames(frame, 1),
                    _ => {}
                }
            }
        }
        kept.blocks.extend(self.arena.blocks(0, super::MEMORY_END));
        self.arena = Arena::new(ARENA_START);
        kept
    }

    /// The process is about to execute another program: takes all memory away, and keeps for the next what that will take.
    pub fn clear(&mut self) {
        let kept = self.keep();
        *self = Self {
            capabilities: core::mem::take(&mut self.capabilities),
            kept,
            ..Self::new(self.frames.clone(), self.places.clone())
        };
    }

    /// Unmaps what is mapped and not among these, nor part of a stack, of which a region is made that ends with `stack_bytes`; where that
    /// starts.
    pub fn begin_program(&mut self, parts: &[Wanted], stack_bytes: u64) -> Result {
        /// Pages of the stack before that are taken.
        const STACK_PAGES: u64 = 32;
        let mut kept = core::mem::take(&mut self.kept);
        let mut wanted = Kept::default();
        for part in parts {
            let range = (part.start, part.end());
            kept.choose(range, &mut wanted, |address, run| {
                let number = (address - part.start) / PAGE_SIZE;
                run.rights == part.rights
                    && match part.shared {
                        Some(first) => !run.is_own && run.frame == first + number,
                        None => run.is_own,
                    }
            });
        }
        let start = self.map_lazy(stack_bytes, Rights::READ_WRITE)?;
        let end = start + stack_bytes;
        let mut stack = Kept::default();
        kept.choose(
            (end - STACK_PAGES * PAGE_SIZE, end),
            &mut stack,
            |_, run| run.is_own && run.rights == Rights::READ_WRITE,
        );
        let arena = kept
            .blocks
            .keys()
            .copied()
            .filter(|&block| is_of_arena(block));
        let arena: Vec<u64> = arena.take(ARENA_BLOCKS).collect();
        for block in arena {
            if let Some(first) = kept.blocks.remove(&block) {
                self.arena.adopt(block, first);
            }
        }
        let unmapped = kept.unmap(Target::SELF);
        kept.give_back(self);
        for (address, run) in stack.runs {
            exo_rt::program_memory::zero(address, run.pages * PAGE_SIZE)?;
            if let Some(region) = self.regions.get_mut(&start) {
                let pages =
                    (0..run.pages).map(|page| (address + page * PAGE_SIZE, run.frame + page));
                region.pages.extend(pages);
            }
        }
        self.kept = wanted;
        self.is_torn = true;
        unmapped.map(|()| start)
    }

    /// Maps pages that are the same for every process. Where the program before had some of them, the others come when they are touched.
    pub fn show_part(&mut self, start: u64, first: u64, pages: u64, rights: Rights) -> Result<()> {
        if self.kept.take(start, start + pages * PAGE_SIZE).is_empty() {
            mapping::map(start, first, pages, rights, |frame| {
                self.capabilities.of(frame)
            })?;
        }
        let mut region = Region::new(start + pages * PAGE_SIZE, rights, Kind::Image);
        region
            .pages
            .extend((0..pages).map(|page| (start + page * PAGE_SIZE, first + page)));
        self.regions.insert(start, region);
        Ok(())
    }

    /// Maps pages of the process's own, which hold anything, at `start`: runs of them by number of the first, which are filled then.
    pub fn bring_part(
        &mut self,
        start: u64,
        pages: u64,
        rights: Rights,
    ) -> Result<Vec<(u64, Run)>> {
        let mut region = Region::new(start + pages * PAGE_SIZE, rights, Kind::Lazy);
        let mut batch = Batch::new(Target::SELF);
        let mut runs = Vec::new();
        let mut done = 0;
        while done < pages {
            let address = start + done * PAGE_SIZE;
            let run = match self.kept.take_at(address, pages - done) {
                Ok(kept) => Run {
                    first: kept.frame,
                    count: kept.pages,
                    is_clean: false,
                },
                Err(gap) => {
                    let run = self.take_up_to(gap).ok_or(Errno::ENOMEM)?;
                    let capability = self.capabilities.of(run.first);
                    batch.add(address, run.first, run.count, rights, capability)?;
                    run
                }
            };
            let numbers = 0..run.count;
            region
                .pages
                .extend(numbers.map(|page| (address + page * PAGE_SIZE, run.first + page)));
            runs.push((done, run));
            done += run.count;
        }
        let mapped = batch.flush();
        self.regions.insert(start, region);
        mapped.map(|()| runs)
    }

    /// Says that the program has all its parts, and where they end.
    pub fn end_program(&mut self, end: u64) -> Result<()> {
        self.set_break_start(end);
        let wanted = Self::wanted_break(end);
        let kept = self.kept.take(wanted.start, wanted.end());
        self.begin_break(kept)?;
        self.is_torn = false;
        Ok(())
    }

    /// Takes frames of environments that wait for processes; false where none waits.
    pub fn take_from_parked(&mut self) -> bool {
        let places = self.places.clone();
        let ended = places
            .try_borrow_mut()
            .ok()
            .and_then(|mut places| places.end_parked());
        match ended {
            Some(parked) => parked.kept.give_back(self),
            None => return false,
        }
        true
    }
}
