//! Processor time: on each vCPU a linear vector of time slices, whose slots are owned like any resource.
//!
//! The position moves through the vector again and again. A slot runs its owner; a slot that nobody owns, or whose owner cannot run,
//! serves in turn the environments that own no slot on this vCPU, and is passed over where there is none.

use crate::environment::EnvironmentId;

/// Slots in the vector of a vCPU.
pub const SLICES: usize = 64;

/// `slice_allocate` asks for slots at no particular position.
pub const ANY_POSITION: u64 = u64::MAX;

/// A slot of the exported slice table, which holds the vectors of all vCPUs: that of vCPU v starts at entry `v * SLICES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct SliceEntry {
    /// Whose it is; nobody's while free.
    pub owner: EnvironmentId,
    /// Zero.
    pub reserved: [u16; 3],
    /// Ticks of the time stamp counter that were used in this slot, whoever ran, up to the last switch.
    pub ticks: u64,
}

const _: () = assert!(size_of::<SliceEntry>() == 16);
