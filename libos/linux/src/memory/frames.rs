//! Frames of a family's programs: taken from the exokernel in blocks of 2 MiB, given to its processes in runs.

use alloc::collections::BTreeMap;

use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER};
use exo_abi::call::ANY_FRAME;
use exo_abi::{Capability, Kind};
use exo_rt::{environment, gate, tables};

use super::runs::Runs;

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

/// The capabilities by which an environment maps frames.
#[derive(Clone, Debug, Default)]
pub struct Capabilities(BTreeMap<u64, (u64, Capability)>);

impl Capabilities {
    /// Those of the blocks that the environment started with, among which are the attached ones.
    pub fn initial() -> Self {
        let initial = environment::capabilities_of(Kind::Blocks);
        Self(
            initial
                .map(|(capability, entry)| (entry.first, (entry.count, capability)))
                .collect(),
        )
    }

    /// Frames from `first` on can be mapped under `capability`.
    pub fn add(&mut self, first: u64, count: u64, capability: Capability) {
        self.0.insert(first, (count, capability));
    }

    /// The capability that covers a frame.
    pub fn of(&self, frame: u64) -> Capability {
        match self.0.range(..=frame).next_back() {
            Some((&first, &(count, capability))) if frame < first + count => capability,
            _ => Capability::NONE,
        }
    }
}

/// Free frames.
#[derive(Debug, Default)]
pub struct Frames {
    clean: Runs,
    used: Runs,
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

    fn take_free(&mut self, count: u64) -> Option<Run> {
        let clean = self.clean.take(count).map(|first| (first, true));
        let found = clean.or_else(|| self.used.take(count).map(|first| (first, false)));
        found.map(|(first, is_clean)| Run {
            first,
            count,
            is_clean,
        })
    }

    /// Asks the exokernel for blocks that hold `count` frames.
    fn grow(&mut self, count: u64, capabilities: &mut Capabilities) -> Option<()> {
        let blocks = count.div_ceil(BLOCK_FRAMES);
        let capability = gate::frame_allocate(ANY_FRAME, blocks, BLOCK_ORDER).ok()?;
        let entry = tables::capability(capability.slot())?;
        capabilities.add(entry.first, entry.count, capability);
        self.clean.add(entry.first, entry.count, |_, _| false);
        Some(())
    }

    /// Gives frames back, in whatever state.
    pub fn free(&mut self, first: u64, count: u64, capabilities: &Capabilities) {
        self.used.add(first, count, |one, other| {
            capabilities.of(one) == capabilities.of(other)
        });
    }
}
