//! The control device: what the kernel, and only the kernel, can ask of the VMM.

abi_enum! {
    /// A command.
    pub enum Command: u64 {
        /// `[first frame, frames]`: the memory reads as zero afterwards, and the host may take it back.
        Scrub = 1 => "scrub",
        /// `[function, first sector, sectors, writable]`: the function sees this part of its disk, from sector 0 on.
        ExtentSet = 2 => "extent-set",
        /// `[function]`: resets it; returns when no request of it is in flight.
        FunctionReset = 3 => "function-reset",
        /// `[]` -> `[request, ...]`: the oldest [`crate::revocation::HostRequest`] that was not fetched yet, and its arguments.
        RequestFetch = 4 => "request-fetch",
    }
}

abi_enum! {
    /// What became of a command.
    pub enum CommandStatus: u64 {
        /// Done.
        Done = 0 => "done",
        /// No such command.
        BadCommand = 1 => "bad-command",
        /// An argument names nothing of this machine.
        BadArgument = 2 => "bad-argument",
    }
}

/// Vector of vCPU 0 by which the VMM says that there is a request to fetch.
pub const CONTROL_VECTOR: u8 = 0x82;

/// One command, in the kernel's memory. A write of its frame number to [`crate::port::CONTROL_PORT`] runs it; the write returns
/// when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct ControlBlock {
    /// A [`Command`].
    pub command: u64,
    /// Its arguments; afterwards, what it brings back, if it brings anything.
    pub arguments: [u64; 6],
    /// Written by the VMM: a [`CommandStatus`].
    pub status: u64,
}

const _: () = assert!(size_of::<ControlBlock>() == 64);
