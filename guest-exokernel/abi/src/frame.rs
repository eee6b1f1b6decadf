//! The exported frame and block tables. All zero means free.
//!
//! Memory is owned in blocks of 2 MiB, or, where a block is split, in frames of 4 KiB. The owner of a frame in a whole
//! block stands in the block's entry; nothing is written per frame.

use crate::environment::EnvironmentId;

abi_enum! {
    /// How a block is owned.
    pub enum BlockState: u8 {
        /// Nobody's, and zeroed.
        Free = 0 => "free",
        /// One owner for all of it.
        Whole = 1 => "whole",
        /// Frame by frame: look there.
        Split = 2 => "split",
    }
}

/// One 2 MiB block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct BlockEntry {
    /// Owner of a whole block.
    pub owner: EnvironmentId,
    /// A [`BlockState`].
    pub state: u8,
    /// Zero.
    pub reserved: u8,
    /// Frames in use, of a split block.
    pub used: u16,
    /// Zero.
    pub reserved2: u16,
    /// Page mappings of a whole block, by whomever, outside the frame window.
    pub mappings: u32,
    /// Zero.
    pub reserved3: u32,
}

const _: () = assert!(size_of::<BlockEntry>() == 16);

/// One 4 KiB frame of a split block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct FrameEntry {
    /// Owner.
    pub owner: EnvironmentId,
    /// Zero.
    pub reserved: u16,
    /// Mappings, by whomever, outside the frame window. Page-table frames for more than it can count do not exist.
    pub mappings: u32,
}

const _: () = assert!(size_of::<FrameEntry>() == 8);
