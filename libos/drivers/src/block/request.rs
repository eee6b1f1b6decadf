//! Requests to a disk, and what becomes of them.

use core::fmt;

use exo_abi::function::StopReason;
use exo_rt::dma::DmaMemory;

use crate::queue::BadAnswer;

/// Bytes that a request moves. The memory may be dropped early, which waits for the device.
#[derive(Clone, Copy)]
pub struct Buffer<'m> {
    /// DMA memory.
    pub memory: &'m DmaMemory,
    /// Where in it.
    pub offset: u64,
    /// Bytes, a multiple of the sector size.
    pub length: u32,
}

/// A request.
#[derive(Clone, Copy)]
pub enum Request<'m> {
    /// Reads from a sector on.
    Read(u64, Buffer<'m>),
    /// Writes from a sector on.
    Write(u64, Buffer<'m>),
    /// Makes what was written durable.
    Flush,
    /// Says that so many sectors, from one on, are not needed any more.
    Discard(u64, u32),
}

/// A finished request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// What [`Block::submit`] returned for it.
    pub slot: u16,
    /// Status that the device wrote.
    pub status: u8,
}

/// What can go wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// As many requests are in flight as there may be.
    Full,
    /// The device has stopped.
    Stopped(StopReason),
    /// The device answered what was not asked.
    BadAnswer(BadAnswer),
    /// The device refused the request with this status.
    Status(u8),
}

impl fmt::Display for BlockError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => write!(formatter, "too many requests in flight"),
            Self::Stopped(reason) => write!(formatter, "the device has stopped: {reason}"),
            Self::BadAnswer(answer) => write!(formatter, "{answer}"),
            Self::Status(status) => write!(
                formatter,
                "the device refused the request with status {status}"
            ),
        }
    }
}
