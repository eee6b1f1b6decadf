//! The exported tables: who owns what in the whole machine, read as copies.
#![allow(unsafe_code)]

use core::fmt;
use core::mem::offset_of;

use exo_abi::address::{BLOCK_FRAMES, PAGE_SIZE};
use exo_abi::capability::CapabilityEntry;
use exo_abi::environment::{EnvironmentEntry, EnvironmentId, NAME_MAX, State};
use exo_abi::frame::{BlockEntry, BlockState, FrameEntry};
use exo_abi::function::FunctionEntry;
use exo_abi::interface_page::{Gate, InterfacePage};
use exo_abi::layout::Summary;
use exo_abi::slice::SliceEntry;

use crate::shared::{INTERFACE, table_entry};

/// Reads an entry of a table that the interface page describes by a start and a count word.
macro_rules! table {
    ($(#[$meta:meta])* $name:ident, $count_name:ident, $entry:ty, $start:ident, $count:ident) => {
        $(#[$meta])*
        pub fn $name(index: u64) -> Option<$entry> {
            if index >= $count_name() {
                return None;
            }
            let start = INTERFACE.word(offset_of!(InterfacePage, $start));
            // SAFETY: 1. `index` is below the count that the interface page gives; 2. the entry is integers only.
            Some(unsafe { table_entry(start, index) })
        }

        /// How many entries that table has.
        pub fn $count_name() -> u64 {
            INTERFACE.word(offset_of!(InterfacePage, $count))
        }
    };
}

table!(/// Entry of the environment with number `index + 1`.
    environment_at, environment_count, EnvironmentEntry, environments, environment_count);
table!(/// A function.
    function, function_count, FunctionEntry, functions, function_count);
table!(/// A 2 MiB block.
    block, block_count, BlockEntry, blocks, block_count);
table!(/// A frame of a split block; of other blocks, nothing stands here.
    frame, frame_count, FrameEntry, frame_table, frames);
table!(/// A capability slot.
    capability_at, capability_slots, CapabilityEntry, capabilities, capability_count);

table!(/// A slot of the slice vectors: that of vCPU v, slot s, is `v * SLICES + s`.
    slice, slice_count, SliceEntry, slices, slice_count);

/// A capability slot.
pub fn capability(slot: u32) -> Option<CapabilityEntry> {
    capability_at(u64::from(slot))
}

/// The entry of an environment.
pub fn environment(id: EnvironmentId) -> Option<EnvironmentEntry> {
    environment_at(u64::from(id.0).checked_sub(1)?)
}

/// The entry of this environment.
pub fn own_environment() -> EnvironmentEntry {
    environment(crate::environment::id()).expect("the kernel exports every environment")
}

/// All environments.
pub fn environments() -> impl Iterator<Item = (EnvironmentId, EnvironmentEntry)> {
    (0..environment_count())
        .filter_map(|index| Some((EnvironmentId(index as u16 + 1), environment_at(index)?)))
}

/// Whether an environment has ended, by itself or not.
pub fn has_ended(entry: &EnvironmentEntry) -> bool {
    entry.state == State::Exited as u32 || entry.state == State::Aborted as u32
}

/// Who owns a frame; `None` where the machine has no such frame.
pub fn frame_owner(number: u64) -> Option<EnvironmentId> {
    let entry = block(number / BLOCK_FRAMES)?;
    if entry.state == BlockState::Split as u8 {
        Some(frame(number)?.owner)
    } else {
        Some(entry.owner)
    }
}

/// The first frame that `owner` owns and that `accept` accepts.
pub fn find_frame(owner: EnvironmentId, accept: impl Fn(u64) -> bool) -> Option<u64> {
    (0..frame_count()).find(|&number| frame_owner(number) == Some(owner) && accept(number))
}

/// Counts of the whole machine.
pub fn summary() -> Summary {
    let start = INTERFACE.word(offset_of!(InterfacePage, summary));
    // SAFETY: 1. the interface page says where the summary is; 2. it is integers only.
    unsafe { table_entry(start, 0) }
}

/// The instruction that enters the kernel on this host.
pub fn gate() -> Option<Gate> {
    Gate::from_number(INTERFACE.half_word(offset_of!(InterfacePage, gate)))
}

/// Address of an exported table's first entry, for programs that try to write there.
pub fn environments_address() -> u64 {
    INTERFACE.word(offset_of!(InterfacePage, environments))
}

/// Address of the exported frame table.
pub fn frames_address() -> u64 {
    INTERFACE.word(offset_of!(InterfacePage, frame_table))
}

/// Features of this machine ([`exo_abi::bundle::Features`]).
pub fn features() -> u64 {
    INTERFACE.word(offset_of!(InterfacePage, features))
}

/// End (exclusive) of the physical addresses that may be memory.
pub fn memory_end() -> u64 {
    frame_count() * PAGE_SIZE
}

/// A name as the tables hold it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name([u8; NAME_MAX]);

impl Name {
    /// What has no name.
    pub const UNKNOWN: Self = Self([0; NAME_MAX]);

    /// Takes it out of a table entry.
    pub const fn new(bytes: [u8; NAME_MAX]) -> Self {
        Self(bytes)
    }

    /// The text before the padding.
    pub fn as_str(&self) -> &str {
        let end = self
            .0
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(NAME_MAX);
        core::str::from_utf8(&self.0[..end]).unwrap_or("?")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
