//! Capabilities: the word by which a holder names a resource, and the exported table behind it.
//!
//! The word is a name, not a secret: what protects is that the kernel compares the holder in the table with the caller,
//! and the generation with the word, so that a guessed, borrowed or stale word is refused.

use crate::environment::EnvironmentId;

/// Slot and generation of an entry in the capability table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct Capability(pub u64);

impl Capability {
    /// The word that names no resource.
    pub const NONE: Self = Self(0);

    /// Names `slot` in its `generation`. Generations start at 1, so no valid word is zero.
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self((generation as u64) << 32 | slot as u64)
    }

    /// Index into the capability table.
    pub const fn slot(self) -> u32 {
        self.0 as u32
    }

    /// Which use of the slot is meant.
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

abi_enum! {
    /// What kind of resource a capability names.
    pub enum Kind: u8 {
        /// `first`: frame number; `count`: frames; allocated one by one.
        Frames = 1 => "frames",
        /// `first`: frame number, a multiple of 512; `count`: frames, a multiple of 512.
        Blocks = 2 => "blocks",
        /// `first`: index in the function table; `count`: 1.
        Function = 3 => "function",
        /// `first`: port; `count`: ports. The environment that holds it may use them directly.
        Ports = 4 => "ports",
        /// `first`: frame number; `count`: frames. They are in the holder's DMA domain, with the capability's rights. Always
        /// derived from a capability of frames or blocks; nothing is derived from it.
        Dma = 5 => "dma",
        /// `resource`: vCPU; `first`: position in its vector of time slices; `count`: slices.
        Slice = 6 => "slice",
        /// `first`: number of the environment into which a protected control transfer leads; `count`: 1.
        Entry = 7 => "entry",
        /// `resource`: index in the function table; `first`: queue; `count`: queues.
        Queue = 8 => "queue",
        /// `resource`: disk; `first`: sector; `count`: sectors.
        Extent = 9 => "extent",
        /// `first`: number of an environment; `count`: numbers. Whoever may write makes, fills, starts and ends these environments.
        Environment = 10 => "environment",
    }
}

/// Entries of a table by number of [`Kind`]: a power of two.
pub const KIND_NUMBERS: usize = 16;
const _: () = assert!(Kind::ALL.len() < KIND_NUMBERS && KIND_NUMBERS.is_power_of_two());

/// Most derivations between a capability and the root of its tree.
pub const DEPTH_MAX: u8 = 32;
/// [`CapabilityEntry::next`] of a slot whose generations are used up: it is never used again.
pub const RETIRED: u32 = u32::MAX;
/// Most capabilities and mappings, together, that one `capability_revoke` takes: the kernel is not preemptible.
pub const REVOKE_BATCH: u64 = 64;

/// A set of rights, as capabilities, mappings and DMA mappings carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct Rights(pub u32);

impl Rights {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The holder may read, or a device may read.
    pub const READ: Self = Self(1);
    /// The holder may write, or a device may write.
    pub const WRITE: Self = Self(2);
    /// A page may be executed. Whoever may read a frame may execute a copy of it, so no capability carries this.
    pub const EXECUTE: Self = Self(4);
    /// Others may be derived from the capability.
    pub const DERIVE: Self = Self(8);
    /// What was derived from the capability may be taken back.
    pub const REVOKE: Self = Self(16);
    /// Read and write.
    pub const READ_WRITE: Self = Self(3);
    /// Read and execute.
    pub const READ_EXECUTE: Self = Self(5);
    /// All that a mapping can carry.
    pub const MAPPING: Self = Self(7);
    /// All that a capability can carry, and what one that was not derived carries.
    pub const CAPABILITY: Self = Self(27);

    /// Whether every right of `other` is here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The rights in either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The rights with this number, or `None` if it has a bit that is not in `allowed`.
    pub const fn from_number(number: u32, allowed: Self) -> Option<Self> {
        if number & !allowed.0 == 0 {
            Some(Self(number))
        } else {
            None
        }
    }
}

/// One entry of the exported capability table. A slot with no holder is free. All links are slots plus one; zero: none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct CapabilityEntry {
    /// First name of the range, by [`Kind`].
    pub first: u64,
    /// How many names.
    pub count: u64,
    /// Use of the slot that is current; raised when the slot is freed, and when the capability is given to another holder.
    pub generation: u32,
    /// Next entry of a list: that of the holder's capabilities, the newest first, or that of free slots.
    pub next: u32,
    /// Who holds it; nobody: the slot is free.
    pub holder: EnvironmentId,
    /// A [`Kind`], or 0 while free.
    pub kind: u8,
    /// The [`Rights`] it carries.
    pub rights: u8,
    /// The entry before it in the holder's list; zero for the first, and while free.
    pub previous: u32,
    /// What the range is part of, by [`Kind`]; zero where the kind needs none.
    pub resource: u32,
    /// The capability from which this one was derived; zero: the root of a tree.
    pub parent: u32,
    /// The newest of those that were derived from this one.
    pub first_child: u32,
    /// The next older one with the same parent.
    pub next_sibling: u32,
    /// The next newer one with the same parent.
    pub previous_sibling: u32,
    /// Where the list of the mappings under this capability begins; zero: there is none.
    pub first_mapping: u32,
    /// Not zero while the holder has bound it; what it says depends on the [`Kind`].
    pub bound: u32,
    /// Derivations between it and the root of its tree.
    pub depth: u8,
    /// 1: the holder started with it, so that it is never taken by force.
    pub guaranteed: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

const _: () = assert!(size_of::<CapabilityEntry>() == 64);
