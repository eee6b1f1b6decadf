//! Visible revocation: what the kernel asks of an environment, what it takes by force, and the log of both.
//!
//! The host asks for something; the kernel writes a [`RevocationRequest`] to the environment page, raises the environment's events and
//! wakes it. The libOS chooses what to give back, by the calls that give things back anyway. What is left at the deadline the kernel takes
//! by force, the newest binding first and never one that the environment started with, and writes each to the repossession vector.

use crate::environment::EnvironmentId;

abi_enum! {
    /// What can be asked back, and in which unit.
    pub enum RevocationKind: u8 {
        /// Frames that the environment owns, those of blocks included.
        Frames = 1 => "frames",
        /// Capabilities of time slices.
        Slices = 2 => "slices",
        /// Capabilities of queues.
        Queues = 3 => "queues",
        /// Capabilities of disk extents.
        Extents = 4 => "extents",
        /// Capabilities of I/O ports.
        Ports = 5 => "ports",
        /// vCPUs: the environment runs on one, and gives all its slices back. It goes on there in slots that nobody owns.
        Vcpus = 6 => "vcpus",
    }
}

abi_enum! {
    /// What the host wants, as `request-fetch` brings it.
    pub enum HostRequest: u64 {
        /// Nothing more.
        None = 0 => "none",
        /// `[serial, frames]`: environments may own so many frames together.
        Limit = 1 => "limit",
        /// `[serial, environment, kind, count, ticks]`: ask it back, with so many ticks of the time stamp counter to the deadline.
        Revoke = 2 => "revoke",
    }
}

abi_enum! {
    /// An event of the revocation log.
    pub enum RevocationEvent: u8 {
        /// `first`: frames. The limit of frames that environments may own has changed.
        Limited = 1 => "limited",
        /// `first`: deadline; `count`: how much. An environment was asked.
        Asked = 2 => "asked",
        /// `count`: as asked. It has given everything back in time, or held no more.
        Given = 3 => "given",
        /// `first`, `count`: what the binding named. It was taken by force.
        Taken = 4 => "taken",
        /// `count`: what was not to be had: the environment started with it, or has ended.
        Ended = 5 => "ended",
        /// `first`: an [`crate::Error`]. The host's request made no sense, or the environment had another one open.
        Refused = 6 => "refused",
    }
}

/// What the kernel asks of an environment, in its environment page. One request is open at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct RevocationRequest {
    /// Number of the request; written last. Another number than before: a new request.
    pub serial: u64,
    /// A [`RevocationKind`].
    pub kind: u64,
    /// How much was asked.
    pub count: u64,
    /// How much the environment may still hold of the kind. It has answered when it holds no more.
    pub goal: u64,
    /// Time stamp after which the kernel takes what is left.
    pub deadline: u64,
    /// Number of the last request that is over: given, or taken.
    pub answered: u64,
    /// Bindings that the kernel has ever taken by force: binding n, from 0 on, stands at n modulo [`REPOSSESSIONS`] of the vector.
    pub repossessed: u64,
    /// Zero.
    pub reserved: u64,
}

const _: () = assert!(size_of::<RevocationRequest>() == 64);

/// Entries of the repossession vector. Whoever has missed more finds out from the capability table what it still holds.
pub const REPOSSESSIONS: usize = 12;

/// A binding that was taken by force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Repossession {
    /// The capability, stale now.
    pub capability: u64,
    /// First name of its range.
    pub first: u64,
    /// How many names.
    pub count: u64,
    /// Low half: the request's number; high half: the [`crate::Kind`] of the capability.
    pub request: u64,
}

const _: () = assert!(size_of::<Repossession>() == 32);

/// Entries of the exported revocation log, a ring.
pub const REVOCATION_LOG: usize = 256;

/// One entry of the exported revocation log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct RevocationEntry {
    /// Number of the event, from 1 on: event n stands at n − 1 modulo [`REVOCATION_LOG`]. Zero: not used yet.
    pub number: u64,
    /// Time stamp.
    pub time: u64,
    /// What it was about, by event.
    pub first: u64,
    /// How much, by event.
    pub count: u64,
    /// Number of the request.
    pub serial: u32,
    /// Whom it concerned; nobody: all.
    pub environment: EnvironmentId,
    /// A [`RevocationEvent`].
    pub event: u8,
    /// A [`RevocationKind`]; of a binding that was taken, its [`crate::Kind`].
    pub kind: u8,
}

const _: () = assert!(size_of::<RevocationEntry>() == 40);
