//! Blocks and frames: who owns them, and which are free.

use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER, COLOURS_MAX};
use exo_abi::call::ANY_FRAME;
use exo_abi::frame::{BlockEntry, BlockState, FrameEntry};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::Ledger;
use crate::capabilities::{Name, index_of, take_slot};
use crate::environments::environment_index;

/// Frame numbers `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FrameRange {
    /// First.
    pub start: u64,
    /// End, exclusive.
    pub end: u64,
}

impl FrameRange {
    /// The part that the tables have entries for.
    pub(crate) fn within(self, frames: u64) -> Self {
        Self {
            start: self.start.min(frames),
            end: self.end.min(frames),
        }
    }

    /// The part of it that is blocks from their first frames to their last.
    pub(crate) fn whole_blocks(self) -> Self {
        Self {
            start: self.start.div_ceil(BLOCK_FRAMES) << BLOCK_ORDER,
            end: self.end >> BLOCK_ORDER << BLOCK_ORDER,
        }
    }

    /// Whether a frame lies inside.
    #[inline(always)]
    pub(crate) fn has(self, frame: u64) -> bool {
        frame >= self.start && frame < self.end
    }

    /// Whether `count` frames from `first` on lie inside.
    pub fn contains(self, first: u64, count: u64) -> bool {
        first >= self.start && first.checked_add(count).is_some_and(|end| end <= self.end)
    }
}

/// What the first frame number has to be, modulo a power of two: libOSes that know the caches ask for frames by colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour {
    mask: u64,
    /// The least frame number of this colour.
    pub(crate) first: u64,
}

impl Colour {
    /// Any number has it.
    const ANY: Self = Self { mask: 0, first: 0 };

    /// The colour behind a word of the ABI.
    fn from_word(word: u64) -> Result<Self, Error> {
        if word == 0 {
            return Ok(Self::ANY);
        }
        let (colours, colour) = (word >> 32, word & 0xffff_ffff);
        if !colours.is_power_of_two() || colours > COLOURS_MAX || colour >= colours {
            return Err(Error::BadArgument);
        }
        Ok(Self {
            mask: colours.saturating_sub(1),
            first: colour,
        })
    }

    /// Whether frame `number` has it.
    pub(crate) fn is_of(self, number: u64) -> bool {
        number & self.mask == self.first
    }
}

/// Frames that were found free for a caller and not taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// [`Kind::Frames`] or [`Kind::Blocks`].
    pub kind: Kind,
    /// First frame.
    pub first: u64,
    /// Frames.
    pub count: u64,
}

/// Index of the block of a frame.
pub(crate) fn block_of(frame: u64) -> usize {
    (frame >> BLOCK_ORDER) as usize
}

/// The first frame behind the block of a frame.
pub(crate) fn end_of_block(frame: u64) -> u64 {
    (frame | BLOCK_FRAMES.wrapping_sub(1)).wrapping_add(1)
}

impl Ledger<'_> {
    /// Marks the blocks of the first `frames` frames as the kernel's.
    pub(crate) fn reserve_for_kernel(&mut self, frames: u64) {
        let count = frames.div_ceil(BLOCK_FRAMES) as usize;
        for block in self.tables.blocks.iter_mut().take(count) {
            *block = BlockEntry {
                owner: EnvironmentId::KERNEL,
                state: BlockState::Whole as u8,
                ..*block
            };
        }
        self.block_cursor = count as u64;
        let all = self.memory.iter().fold(0u64, |sum, range| {
            sum.saturating_add(range.end.saturating_sub(range.start))
        });
        self.tables.summary.frames_limit = all.saturating_sub((count as u64) << BLOCK_ORDER);
        let free = &mut self.tables.summary.free_blocks;
        for range in self.memory {
            let start = range.start.div_ceil(BLOCK_FRAMES).max(count as u64);
            *free = free.saturating_add((range.end >> BLOCK_ORDER).saturating_sub(start));
        }
    }

    /// Whether these frame numbers are memory of this machine.
    pub fn is_memory(&self, first: u64, count: u64) -> bool {
        self.memory.iter().any(|range| range.contains(first, count))
    }

    /// Whether a block is memory from its first frame to its last. Of other blocks, frames can be had by name only.
    pub(crate) fn is_whole_block(&self, block: u64) -> bool {
        self.whole_blocks
            .iter()
            .any(|range| range.has(block << BLOCK_ORDER))
    }

    /// The owner of a frame.
    pub fn owner(&self, frame: u64) -> EnvironmentId {
        let Some(block) = self.tables.blocks.get(block_of(frame)) else {
            return EnvironmentId::NOBODY;
        };
        match BlockState::from_number(block.state) {
            Some(BlockState::Whole) => block.owner,
            Some(BlockState::Split) => self
                .tables
                .frames
                .get(frame as usize)
                .map_or(EnvironmentId::NOBODY, |entry| entry.owner),
            Some(BlockState::Free) | None => EnvironmentId::NOBODY,
        }
    }

    /// Finds what `frame_allocate` asks for, without taking it. Order of checks: order, colour, count, address, quotas, memory,
    /// owner, limit.
    #[inline(always)]
    pub fn plan_allocation(
        &self,
        holder: EnvironmentId,
        first: u64,
        count: u64,
        order: u64,
        colour: u64,
    ) -> Result<Allocation, Error> {
        const BLOCKS: u64 = BLOCK_ORDER as u64;
        match order {
            0 => self.plan_frames(holder, first, count, colour),
            BLOCKS if colour == 0 => self.plan_blocks(holder, first, count),
            _ => Err(Error::BadArgument),
        }
    }

    #[inline(always)]
    fn plan_frames(
        &self,
        holder: EnvironmentId,
        first: u64,
        count: u64,
        colour: u64,
    ) -> Result<Allocation, Error> {
        let colour = Colour::from_word(colour)?;
        if colour != Colour::ANY && first != ANY_FRAME {
            return Err(Error::BadArgument);
        }
        if count == 0 || count > BLOCK_FRAMES {
            return Err(Error::BadCount);
        }
        self.check_frames_quota(holder, count)?;
        self.check_capability_quota(holder)?;
        let first = match first {
            ANY_FRAME => self.find_frames(count, colour)?,
            named => self.check_named(Kind::Frames, named, count)?,
        };
        self.check_frames_limit(count)?;
        Ok(Allocation {
            kind: Kind::Frames,
            first,
            count,
        })
    }

    fn plan_blocks(
        &self,
        holder: EnvironmentId,
        first: u64,
        count: u64,
    ) -> Result<Allocation, Error> {
        if count == 0 || count > self.tables.blocks.len() as u64 {
            return Err(Error::BadCount);
        }
        let frames = count.checked_mul(BLOCK_FRAMES).ok_or(Error::BadCount)?;
        if first != ANY_FRAME && !first.is_multiple_of(BLOCK_FRAMES) {
            return Err(Error::BadAddress);
        }
        self.check_frames_quota(holder, frames)?;
        self.check_capability_quota(holder)?;
        let first = match first {
            ANY_FRAME => self.find_blocks(count)?,
            named => self.check_named(Kind::Blocks, named, frames)?,
        };
        self.check_frames_limit(frames)?;
        Ok(Allocation {
            kind: Kind::Blocks,
            first,
            count: frames,
        })
    }

    /// Takes what was planned, with no change in between.
    #[inline(always)]
    pub fn commit_allocation(
        &mut self,
        holder: EnvironmentId,
        allocation: Allocation,
    ) -> Capability {
        self.take(holder, allocation);
        self.add_capability(
            holder,
            Name::new(allocation.kind, allocation.first, allocation.count),
            Rights::CAPABILITY,
        )
    }

    /// Takes a frame for who wants any one, of any colour, where that is the one at the cursor, in a block that is split: what
    /// [`Self::plan_allocation`] would find, in fewer instructions. `show` can refuse it still. `None`: it is something else, and nothing is changed.
    #[inline(always)]
    pub fn take_frame(
        &mut self,
        holder: EnvironmentId,
        show: impl FnOnce(u64) -> Option<()>,
    ) -> Option<Capability> {
        let frame = self.frame_cursor;
        let tables = &mut self.tables;
        let environment = tables.environments.get_mut(environment_index(holder))?;
        let summary = &mut *tables.summary;
        if environment.frames >= environment.frames_quota
            || environment.capabilities >= environment.capabilities_quota
            || summary.frames_owned >= summary.frames_limit
        {
            return None;
        }
        let entry = tables.frames.get_mut(frame as usize)?;
        let block = tables.blocks.get_mut(block_of(frame))?;
        if entry.owner != EnvironmentId::NOBODY
            || block.state != BlockState::Split as u8
            || !self.whole_blocks.iter().any(|range| range.has(frame))
        {
            return None;
        }
        tables.capabilities.get(index_of(self.free_capability))?;
        show(frame)?;

        entry.owner = holder;
        block.used = block.used.wrapping_add(1);
        environment.frames = environment.frames.wrapping_add(1);
        summary.split_frames_used = summary.split_frames_used.wrapping_add(1);
        summary.frames_owned = summary.frames_owned.wrapping_add(1);
        self.frame_cursor = frame.wrapping_add(1);
        take_slot(
            (&mut *tables.capabilities, &mut self.free_capability),
            environment,
            summary,
            (holder, Name::new(Kind::Frames, frame, 1)),
            Rights::CAPABILITY,
        )
    }

    /// Takes frames by name, as many as there are, for an environment that starts: its part of the bundle. The kernel calls
    /// it before anything runs; the cost is linear in `count`. Order of checks: count, quotas, memory, owner.
    pub fn claim_frames(
        &mut self,
        holder: EnvironmentId,
        first: u64,
        count: u64,
    ) -> Result<Capability, Error> {
        if count == 0 {
            return Err(Error::BadCount);
        }
        self.check_frames_quota(holder, count)?;
        self.check_capability_quota(holder)?;
        let allocation = Allocation {
            kind: Kind::Frames,
            first: self.check_named(Kind::Frames, first, count)?,
            count,
        };
        Ok(self.commit_allocation(holder, allocation))
    }

    /// Keeps frames of free memory for the kernel, charged to nobody: what it still reads of the bundle. Linear in `count`.
    pub fn keep_frames(&mut self, first: u64, count: u64) -> Result<(), Error> {
        if count == 0 {
            return Err(Error::BadCount);
        }
        let allocation = Allocation {
            kind: Kind::Frames,
            first: self.check_named(Kind::Frames, first, count)?,
            count,
        };
        self.take(EnvironmentId::KERNEL, allocation);
        Ok(())
    }

    /// Whether `holder` may have `count` more frames.
    #[inline(always)]
    pub fn check_frames_quota(&self, holder: EnvironmentId, count: u64) -> Result<(), Error> {
        let environment = self.environment(holder)?;
        match u64::from(environment.frames).checked_add(count) {
            Some(sum) if sum <= u64::from(environment.frames_quota) => Ok(()),
            _ => Err(Error::Quota),
        }
    }

    /// Writes the owner of frames that are free.
    #[inline(always)]
    pub(crate) fn take(&mut self, holder: EnvironmentId, allocation: Allocation) {
        let Allocation { kind, first, count } = allocation;
        let end = first.saturating_add(count);
        if kind == Kind::Blocks {
            let whole = BlockEntry {
                owner: holder,
                state: BlockState::Whole as u8,
                ..BlockEntry::default()
            };
            self.write_blocks(first, end, whole);
            let free = &mut self.tables.summary.free_blocks;
            *free = free.saturating_sub(count >> BLOCK_ORDER);
            self.block_cursor = end >> BLOCK_ORDER;
        } else {
            self.take_frames(holder, first, end);
            self.frame_cursor = end;
        }
        if let Some(environment) = self.environment_mut(holder) {
            environment.frames = environment.frames.saturating_add(count as u32);
            let owned = &mut self.tables.summary.frames_owned;
            *owned = owned.saturating_add(count);
        }
    }

    /// Makes the entries of all blocks of these frames the same.
    fn write_blocks(&mut self, first: u64, end: u64, entry: BlockEntry) {
        let blocks = self.tables.blocks.get_mut(block_of(first)..block_of(end));
        blocks.unwrap_or_default().fill(entry);
    }

    /// Writes the owner of frames `first..end`, splitting blocks of theirs that are free. Linear in the frames.
    #[inline(always)]
    fn take_frames(&mut self, holder: EnvironmentId, first: u64, end: u64) {
        let mut start = first;
        while start < end {
            let next = end_of_block(start).min(end);
            let frames = self.tables.frames.get_mut(start as usize..next as usize);
            for entry in frames.unwrap_or_default() {
                // All else of it is zero: it is free.
                entry.owner = holder;
            }
            self.use_block(start >> BLOCK_ORDER, next.wrapping_sub(start) as u16);
            start = next;
        }
        let used = &mut self.tables.summary.split_frames_used;
        *used = used.wrapping_add(end.wrapping_sub(first));
    }

    /// Counts frames of a block that are taken, and splits it if it was free.
    #[inline(always)]
    fn use_block(&mut self, number: u64, frames: u16) {
        let Some(block) = self.tables.blocks.get_mut(number as usize) else {
            return;
        };
        block.used = block.used.wrapping_add(frames);
        if block.state == BlockState::Free as u8 {
            block.state = BlockState::Split as u8;
            let whole = self.is_whole_block(number);
            let free = &mut self.tables.summary.free_blocks;
            *free = free.saturating_sub(u64::from(whole));
        }
    }

    /// Gives frames back. A split block without frames in use is free again.
    pub(crate) fn give_back(&mut self, holder: EnvironmentId, allocation: Allocation) {
        let Allocation { kind, first, count } = allocation;
        let end = first.saturating_add(count);
        if kind == Kind::Blocks {
            self.write_blocks(first, end, BlockEntry::default());
            let free = &mut self.tables.summary.free_blocks;
            *free = free.saturating_add(count >> BLOCK_ORDER);
        } else {
            for frame in first..end {
                self.give_back_frame(frame);
            }
            self.frame_cursor = first;
        }
        if let Some(environment) = self.environment_mut(holder) {
            environment.frames = environment.frames.saturating_sub(count as u32);
            let owned = &mut self.tables.summary.frames_owned;
            *owned = owned.saturating_sub(count);
        }
    }

    /// Gives one frame of a split block back.
    fn give_back_frame(&mut self, frame: u64) {
        if let Some(entry) = self.tables.frames.get_mut(frame as usize) {
            *entry = FrameEntry::default();
        }
        let Some(block) = self.tables.blocks.get_mut(block_of(frame)) else {
            return;
        };
        block.used = block.used.saturating_sub(1);
        if block.used == 0 {
            block.state = BlockState::Free as u8;
            let whole = self.whole_blocks.iter().any(|range| range.has(frame));
            let free = &mut self.tables.summary.free_blocks;
            *free = free.saturating_add(u64::from(whole));
        }
        let used = &mut self.tables.summary.split_frames_used;
        *used = used.saturating_sub(1);
    }
}
