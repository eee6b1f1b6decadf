//! Frames of a program: taken from the exokernel in blocks of 2 MiB, given to regions in runs.

use alloc::collections::BTreeMap;

use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER, PAGE_SIZE};
use exo_abi::call::ANY_FRAME;
use exo_abi::{Capability, Kind};
use exo_rt::{environment, gate, program_memory, tables, window};

/// Free runs, and the capability of each block.
#[derive(Default)]
pub struct Frames {
    /// Runs that read as zero: first frame to count.
    clean: BTreeMap<u64, u64>,
    /// Runs that were used.
    used: BTreeMap<u64, u64>,
    /// Capabilities by the first frame that they cover, with the count.
    capabilities: BTreeMap<u64, (u64, Capability)>,
}

impl Frames {
    /// The frames of the image: first frame number. Its capability is known from then on.
    pub fn take_image(&mut self) -> Option<u64> {
        let (capability, entry) = environment::capabilities_of(Kind::Frames).next()?;
        self.capabilities
            .insert(entry.first, (entry.count, capability));
        Some(entry.first)
    }

    /// The capability that covers a frame.
    pub fn capability(&self, frame: u64) -> Capability {
        match self.capabilities.range(..=frame).next_back() {
            Some((&first, &(count, capability))) if frame < first + count => capability,
            _ => Capability::NONE,
        }
    }

    /// Takes `count` contiguous frames that read as zero.
    pub fn allocate(&mut self, count: u64) -> Option<u64> {
        if let Some(first) = take(&mut self.clean, count) {
            return Some(first);
        }
        if let Some(first) = take(&mut self.used, count) {
            program_memory::zero(window::address_of(first), count * PAGE_SIZE).ok()?;
            return Some(first);
        }
        self.grow(count)?;
        take(&mut self.clean, count)
    }

    /// Asks the exokernel for blocks that hold `count` frames.
    fn grow(&mut self, count: u64) -> Option<()> {
        let blocks = count.div_ceil(BLOCK_FRAMES);
        let capability = gate::frame_allocate(ANY_FRAME, blocks, BLOCK_ORDER).ok()?;
        let entry = tables::capability(capability.slot())?;
        self.capabilities
            .insert(entry.first, (entry.count, capability));
        self.clean.insert(entry.first, entry.count);
        Some(())
    }

    /// Gives frames back, in whatever state.
    pub fn free(&mut self, first: u64, count: u64) {
        let mut run = (first, count);
        if let Some((&before, &length)) = self.used.range(..first).next_back()
            && before + length == first
            && self.capability(before) == self.capability(first)
        {
            run = (before, length + count);
        }
        let end = first + count;
        if let Some(&length) = self.used.get(&end)
            && self.capability(end) == self.capability(first)
        {
            self.used.remove(&end);
            run.1 += length;
        }
        self.used.insert(run.0, run.1);
    }
}

/// Takes the first run of `count` frames out of free ones.
fn take(free: &mut BTreeMap<u64, u64>, count: u64) -> Option<u64> {
    let (&first, &length) = free.iter().find(|&(_, &length)| length >= count)?;
    free.remove(&first);
    if length > count {
        free.insert(first + count, length - count);
    }
    Some(first)
}
