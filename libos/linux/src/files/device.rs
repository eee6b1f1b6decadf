//! Files that are no data: the console, and what `/dev` always has.

use alloc::rc::Rc;
use alloc::vec::Vec;

use exo_rt::{console, processor};
use linux_raw_sys::general::{POLLIN, POLLOUT};

use crate::calls::program::Buffer;
use crate::errno::Result;
use crate::wait::WaitQueue;

/// Bytes that are moved at a time.
const PIECE: usize = 1024;

/// A device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// What is written goes to the standard output of `exo`; there is nothing to read yet.
    Console,
    /// What is written goes to its standard error.
    Errors,
    /// Empty, and takes everything.
    Null,
    /// Zeros without end.
    Zero,
    /// Random bytes without end.
    Random,
}

impl Device {
    /// Whether it may be read and written at an offset, whatever that means.
    pub fn has_position(self) -> bool {
        match self {
            Self::Console | Self::Errors => false,
            Self::Null | Self::Zero | Self::Random => true,
        }
    }

    /// What can be done without waiting.
    pub fn readiness(self) -> u32 {
        POLLIN | POLLOUT
    }

    /// Adds the queues that tell when that changes.
    pub fn queues(self, _: &mut Vec<Rc<WaitQueue>>) {}

    /// Reads bytes.
    pub fn read(self, buffer: &mut Buffer) -> Result<()> {
        match self {
            Self::Console | Self::Errors | Self::Null => Ok(()),
            Self::Zero => buffer.put_zeros(),
            Self::Random => {
                while buffer.left() != 0 {
                    buffer.put(&random((buffer.left() as usize).min(PIECE)))?;
                }
                Ok(())
            }
        }
    }

    /// Takes bytes.
    pub fn write(self, buffer: &mut Buffer) -> Result<()> {
        let print = match self {
            Self::Console => console::write,
            Self::Errors => console::write_error,
            Self::Null | Self::Zero | Self::Random => {
                buffer.skip(buffer.left());
                return Ok(());
            }
        };
        let mut piece = [0; PIECE];
        while buffer.left() != 0 {
            let bytes = buffer.take(&mut piece)?;
            print(piece.get(..bytes).unwrap_or_default());
        }
        Ok(())
    }

    /// Device number, as `stat` shows it: those of Linux.
    pub fn number(self) -> u64 {
        let (major, minor) = match self {
            Self::Console => (5, 1),
            Self::Errors => (5, 2),
            Self::Null => (1, 3),
            Self::Zero => (1, 5),
            Self::Random => (1, 9),
        };
        major << 8 | minor
    }
}

/// Random bytes.
pub fn random(bytes: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(bytes + 8);
    while all.len() < bytes {
        all.extend(processor::random().to_le_bytes());
    }
    all.truncate(bytes);
    all
}
