//! Files that are no data: the console, and what `/dev` always has.

use alloc::vec;
use alloc::vec::Vec;

use exo_rt::{console, processor};

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
    /// Up to `bytes` bytes.
    pub fn read(self, bytes: usize) -> Vec<u8> {
        match self {
            Self::Console | Self::Errors | Self::Null => Vec::new(),
            Self::Zero => vec![0; bytes],
            Self::Random => random(bytes),
        }
    }

    /// Takes bytes.
    pub fn write(self, bytes: &[u8]) {
        match self {
            Self::Console => console::write(bytes),
            Self::Errors => console::write_error(bytes),
            Self::Null | Self::Zero | Self::Random => {}
        }
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
