//! Frames of a family's programs: taken from the exokernel in blocks of 2 MiB, given to its processes in runs.

use alloc::collections::BTreeMap;

use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER, PAGE_SIZE};
use exo_abi::call::ANY_FRAME;
use exo_abi::environment::EnvironmentId;
use exo_abi::frame::BlockState;
use exo_abi::{Capability, Kind, Rights};
use exo_rt::{environment, gate, tables};

use super::runs::Runs;
use crate::errno::{Errno, Result};

/// Blocks that are asked of the exokernel at least at once.
const BLOCKS_MIN: u64 = 4;

/// A run of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Number of the first.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Whether they read as zero.
    pub is_clean: bool,
}

/// A capability that an environment of the family holds, and how others get the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// First name.
    pub first: u64,
    /// Names.
    pub count: u64,
    /// The capability.
    pub own: Capability,
    /// One for the same that was derived, and so can be copied; NONE: not yet.
    copyable: Capability,
}

impl Held {
    /// A capability that the environment started with, or was allocated.
    pub const fn root(first: u64, count: u64, own: Capability) -> Self {
        Self {
            first,
            count,
            own,
            copyable: Capability::NONE,
        }
    }

    /// Gives another environment the same, as it holds it then.
    pub fn share(&mut self, environment: EnvironmentId) -> Result<Self> {
        if self.copyable == Capability::NONE {
            let derived =
                gate::capability_derive(self.own, self.first, self.count, Rights::CAPABILITY);
            self.copyable = derived.map_err(|_| Errno::EAGAIN)?;
        }
        let copy = gate::capability_copy(self.copyable, environment).map_err(|_| Errno::EAGAIN)?;
        Ok(Self {
            own: copy,
            copyable: copy,
            ..*self
        })
    }
}

/// The capabilities by which an environment maps frames.
#[derive(Clone, Debug, Default)]
pub struct Capabilities(BTreeMap<u64, Held>);

impl Capabilities {
    /// What an environment starts with.
    pub fn initial() -> Self {
        let kinds = [Kind::Blocks, Kind::Frames].into_iter();
        let all = kinds.flat_map(environment::capabilities_of);
        Self(
            all.map(|(capability, entry)| {
                let held = Held::root(entry.first, entry.count, capability);
                (entry.first, held)
            })
            .collect(),
        )
    }

    /// The capability that covers a frame.
    pub fn of(&self, frame: u64) -> Capability {
        match self.0.range(..=frame).next_back() {
            Some((&first, held)) if frame < first + held.count => held.own,
            _ => Capability::NONE,
        }
    }

    /// Gives another environment the same.
    pub fn share(&mut self, environment: EnvironmentId) -> Result<Self> {
        let shared = self
            .0
            .iter_mut()
            .map(|(&first, held)| Ok((first, held.share(environment)?)));
        shared.collect::<Result<_>>().map(Self)
    }
}

/// Free frames.
#[derive(Debug, Default)]
pub struct Frames {
    clean: Runs,
    used: Runs,
    /// Blocks that were taken from the exokernel.
    blocks: u64,
    /// Whether the exokernel has no more.
    is_whole: bool,
}

impl Frames {
    /// Takes `count` contiguous frames.
    pub fn take(&mut self, count: u64, capabilities: &mut Capabilities) -> Option<Run> {
        if let Some(run) = self.take_free(count) {
            return Some(run);
        }
        self.grow(count, capabilities)?;
        self.take_free(count)
    }

    /// Takes the frames of a whole block.
    pub fn take_block(&mut self, capabilities: &mut Capabilities) -> Option<Run> {
        if let Some(run) = self.take_free_block() {
            return Some(run);
        }
        self.grow(BLOCK_FRAMES, capabilities)?;
        self.take_free_block()
    }

    // What was used already has memory of the host's behind it, and so is the first to be used again.
    fn take_free(&mut self, count: u64) -> Option<Run> {
        let used = self.used.take(count).map(|first| (first, false));
        let found = used.or_else(|| self.clean.take(count).map(|first| (first, true)));
        Self::run(found, count)
    }

    fn take_free_block(&mut self) -> Option<Run> {
        let used = self.used.take_aligned(BLOCK_FRAMES);
        let found = used.map(|first| (first, false)).or_else(|| {
            let clean = self.clean.take_aligned(BLOCK_FRAMES);
            clean.map(|first| (first, true))
        });
        Self::run(found, BLOCK_FRAMES)
    }

    fn run(found: Option<(u64, bool)>, count: u64) -> Option<Run> {
        found.map(|(first, is_clean)| Run {
            first,
            count,
            is_clean,
        })
    }

    /// Asks the exokernel for blocks that hold `count` frames, and for as many as there are already: so there are few capabilities.
    fn grow(&mut self, count: u64, capabilities: &mut Capabilities) -> Option<()> {
        let needed = count.div_ceil(BLOCK_FRAMES);
        let wanted = needed.max(self.blocks).max(BLOCKS_MIN);
        self.take_blocks(ANY_FRAME, wanted, capabilities)
            .or_else(|| self.take_blocks(ANY_FRAME, needed, capabilities))
    }

    fn take_blocks(
        &mut self,
        first: u64,
        blocks: u64,
        capabilities: &mut Capabilities,
    ) -> Option<()> {
        let capability = gate::frame_allocate(first, blocks, BLOCK_ORDER).ok()?;
        let entry = tables::capability(capability.slot())?;
        let held = Held::root(entry.first, entry.count, capability);
        capabilities.0.insert(entry.first, held);
        self.clean.add(entry.first, entry.count, |_, _| false);
        self.blocks += blocks;
        Some(())
    }

    /// Frames that are free, or can be had, and all that there can be.
    fn free_and_all(&self) -> (u64, u64) {
        let free = self.clean.count() + self.used.count();
        let all = self.blocks * BLOCK_FRAMES;
        if self.is_whole {
            return (free, all);
        }
        let entry = tables::own_environment();
        let left = u64::from(entry.frames_quota.saturating_sub(entry.frames));
        (free + left, all + left)
    }

    /// Whether a quarter of all is free, or more: enough to give more than is asked for.
    pub fn has_plenty(&self) -> bool {
        let (free, all) = self.free_and_all();
        free >= all / 4
    }

    /// Whether so many bytes are more than there can ever be (proc(5), `overcommit_memory` 0).
    pub fn is_beyond(&self, bytes: u64) -> bool {
        bytes / PAGE_SIZE > self.free_and_all().1
    }

    /// Takes all frames that the exokernel still has for this environment, in few capabilities: environments that it makes from then on have
    /// a share in each. Only once: nothing comes back.
    pub fn take_rest(&mut self, capabilities: &mut Capabilities) {
        if self.is_whole {
            return;
        }
        self.is_whole = true;
        loop {
            let entry = tables::own_environment();
            let quota = u64::from(entry.frames_quota.saturating_sub(entry.frames)) / BLOCK_FRAMES;
            let (first, blocks) = longest_free_run();
            let blocks = blocks.min(quota);
            if blocks == 0 || self.take_blocks(first, blocks, capabilities).is_none() {
                return;
            }
        }
    }

    /// Gives frames back, in whatever state.
    pub fn free(&mut self, first: u64, count: u64, capabilities: &Capabilities) {
        self.used.add(first, count, |one, other| {
            capabilities.of(one) == capabilities.of(other)
        });
    }
}

/// The first frame and the number of the most blocks in a row that nobody owns.
fn longest_free_run() -> (u64, u64) {
    let mut longest = (0, 0);
    let mut run = (0, 0);
    for (number, block) in (0..).map_while(|number| Some((number, tables::block(number)?))) {
        run = match block.state == BlockState::Free as u8 {
            true if run.1 != 0 => (run.0, run.1 + 1),
            true => (number * BLOCK_FRAMES, 1),
            false => (0, 0),
        };
        if run.1 > longest.1 {
            longest = run;
        }
    }
    longest
}
