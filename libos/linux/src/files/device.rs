//! Files that are no data: what `/dev` always has.

use alloc::vec::Vec;

use exo_rt::processor;

use crate::calls::program::Buffer;
use crate::errno::{Errno, Result};

/// Bytes that are moved at a time.
const PIECE: usize = 1024;

/// A device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The terminal of whoever opens it.
    Terminal,
    /// Empty, and takes everything.
    Null,
    /// Zeros without end.
    Zero,
    /// Zeros without end, and takes nothing.
    Full,
    /// Random bytes without end.
    Random,
    /// One that is not there: whether it is a block device, and its number.
    Absent(bool, u64),
}

impl Device {
    /// Reads bytes.
    pub fn read(self, buffer: &mut Buffer) -> Result<()> {
        match self {
            Self::Terminal | Self::Absent(..) => Err(Errno::ENXIO),
            Self::Null => Ok(()),
            Self::Zero | Self::Full => buffer.put_zeros(buffer.left()).map(drop),
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
        match self {
            Self::Terminal | Self::Absent(..) => Err(Errno::ENXIO),
            Self::Full => Err(Errno::ENOSPC),
            Self::Null | Self::Zero | Self::Random => {
                buffer.skip(buffer.left());
                Ok(())
            }
        }
    }

    /// The device with a number.
    pub fn with_number(number: u64) -> Option<Self> {
        let all = [
            Self::Terminal,
            Self::Null,
            Self::Zero,
            Self::Full,
            Self::Random,
        ];
        let mut all = all.into_iter();
        all.find(|device| device.number() == number)
    }

    /// Device number, as `stat` shows it: those of Linux.
    pub fn number(self) -> u64 {
        let (major, minor) = match self {
            Self::Terminal => (5, 0),
            Self::Null => (1, 3),
            Self::Zero => (1, 5),
            Self::Full => (1, 7),
            Self::Random => (1, 9),
            Self::Absent(_, number) => return number,
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
