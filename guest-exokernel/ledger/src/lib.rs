//! Who owns what: the safe core of the exokernel, tested on the host.
//!
//! The ledger is the exported tables and the rules by which they change. It knows nothing of page tables, processors or
//! devices: the kernel asks it first (`check_*`, `plan_*`: no change), then acts, then records (`commit_*`, `add_*`,
//! `remove_*`: cannot fail). [`Ledger::audit`] recounts everything and says what does not add up.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[cfg(test)]
extern crate self as exo_ledger;

mod audit;
mod capabilities;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod corruption_test;
mod creation;
mod derivation;
mod dma;
mod environments;
mod extents;
mod functions;
mod giving;
mod holders;
mod mappings;
mod memory;
mod queues;
mod revocation;
mod search;
mod sequence;
mod slices;
mod tree;

pub use audit::Inconsistency;
pub use capabilities::Name;
pub use creation::Creation;
pub use derivation::Derivation;
pub use environments::Quotas;
pub use mappings::Mappable;
pub use memory::{Allocation, FrameRange};
pub use queues::Queue;

use exo_abi::capability::CapabilityEntry;
use exo_abi::environment::EnvironmentEntry;
use exo_abi::frame::{BlockEntry, FrameEntry};
use exo_abi::function::FunctionEntry;
use exo_abi::layout::Summary;
use exo_abi::revocation::RevocationEntry;
use exo_abi::slice::SliceEntry;

/// The exported tables, all zero at the start: all free.
pub struct Tables<'t> {
    /// Running counts.
    pub summary: &'t mut Summary,
    /// Entry 0 is environment 1.
    pub environments: &'t mut [EnvironmentEntry],
    /// Device functions.
    pub functions: &'t mut [FunctionEntry],
    /// Slice vectors of all vCPUs.
    pub slices: &'t mut [SliceEntry],
    /// The revocation log.
    pub revocations: &'t mut [RevocationEntry],
    /// Capability slots.
    pub capabilities: &'t mut [CapabilityEntry],
    /// One entry per 2 MiB.
    pub blocks: &'t mut [BlockEntry],
    /// One entry per 4 KiB.
    pub frames: &'t mut [FrameEntry],
}

/// The tables and where to look first in them.
pub struct Ledger<'t> {
    tables: Tables<'t>,
    /// Frame numbers that are memory. Two ranges: below and above the device hole.
    memory: [FrameRange; 2],
    /// Those of them in blocks that are memory from their first frames to their last.
    whole_blocks: [FrameRange; 2],
    /// Slot of the next capability plus one, 0: there is none. First come those that were freed, linked by `next`; behind the last
    /// of them the first that was never used, of generation 0, and then all behind it.
    free_capability: u32,
    /// Where the search for a free block starts.
    block_cursor: u64,
    /// Where the search for free frames in a split block starts.
    frame_cursor: u64,
    /// Page-table frames that the pool had at the start.
    table_pool: u64,
    /// Number of the last event of the revocation log.
    events: u64,
}

impl<'t> Ledger<'t> {
    /// Takes zeroed tables; `kernel_frames` from frame 0 on are the kernel's. Cost: one entry per block of the kernel.
    pub fn new(tables: Tables<'t>, memory: [FrameRange; 2], kernel_frames: u64) -> Self {
        let blocks = tables.blocks.len() as u64;
        let frames = (blocks << exo_abi::address::BLOCK_ORDER).min(tables.frames.len() as u64);
        let memory = memory.map(|range| range.within(frames));
        let free_capability = u32::from(!tables.capabilities.is_empty());
        let mut ledger = Self {
            tables,
            memory,
            whole_blocks: memory.map(FrameRange::whole_blocks),
            free_capability,
            block_cursor: 0,
            frame_cursor: 0,
            table_pool: 0,
            events: 0,
        };
        ledger.reserve_for_kernel(kernel_frames);
        ledger
    }

    /// The exported tables, for reading.
    pub fn tables(&self) -> &Tables<'t> {
        &self.tables
    }
}
