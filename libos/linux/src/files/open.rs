//! Open files: a node, and how it is used.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;

use linux_raw_sys::general::{O_ACCMODE, O_APPEND, O_RDONLY, O_WRONLY};

use super::node::{Content, Node};
use crate::errno::{Errno, Result};

/// An open file, which several descriptors may share.
#[derive(Debug)]
pub struct OpenFile {
    /// What is open.
    pub node: Rc<Node>,
    /// Directories from the root down to it, where it is a directory itself.
    pub above: Vec<Rc<Node>>,
    /// Where the next read or write is; in a directory, how many names were read.
    pub offset: Cell<u64>,
    /// The flags of `open`.
    pub flags: Cell<u32>,
}

/// Largest file.
const FILE_BYTES_MAX: u64 = 1 << 30;

impl OpenFile {
    /// Opens a node.
    pub fn new(node: Rc<Node>, above: Vec<Rc<Node>>, flags: u32) -> Rc<Self> {
        Rc::new(Self {
            node,
            above,
            offset: Cell::new(0),
            flags: Cell::new(flags),
        })
    }

    fn check(&self, refused: u32) -> Result<()> {
        if self.flags.get() & O_ACCMODE == refused {
            return Err(Errno::EBADF);
        }
        Ok(())
    }

    /// Up to `bytes` bytes at `offset`.
    pub fn read_at(&self, offset: u64, bytes: usize) -> Result<Vec<u8>> {
        self.check(O_WRONLY)?;
        match &self.node.content {
            Content::Regular(data) => {
                let data = data.borrow();
                let start = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(data.len());
                let end = start.saturating_add(bytes).min(data.len());
                Ok(data.get(start..end).unwrap_or_default().to_vec())
            }
            Content::Device(device) => Ok(device.read(bytes)),
            Content::Directory(_) => Err(Errno::EISDIR),
            Content::Link(_) => Err(Errno::EINVAL),
        }
    }

    /// Writes bytes at `offset`.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.check(O_RDONLY)?;
        match &self.node.content {
            Content::Regular(data) => {
                let end = offset
                    .checked_add(bytes.len() as u64)
                    .filter(|&end| end <= FILE_BYTES_MAX)
                    .ok_or(Errno::EFBIG)?;
                let mut data = data.borrow_mut();
                if (data.len() as u64) < end {
                    let more = end as usize - data.len();
                    data.try_reserve(more).map_err(|_| Errno::ENOSPC)?;
                    data.resize(end as usize, 0);
                }
                if let Some(place) = data.get_mut(offset as usize..end as usize) {
                    place.copy_from_slice(bytes);
                }
                Ok(())
            }
            Content::Device(device) => {
                device.write(bytes);
                Ok(())
            }
            Content::Directory(_) => Err(Errno::EISDIR),
            Content::Link(_) => Err(Errno::EINVAL),
        }
    }

    /// Reads where the last read or write ended.
    pub fn read(&self, bytes: usize) -> Result<Vec<u8>> {
        let data = self.read_at(self.offset.get(), bytes)?;
        self.advance(data.len());
        Ok(data)
    }

    /// Writes where the last read or write ended, or at the end of a file that is open for appending.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        if self.flags.get() & O_APPEND != 0 {
            self.offset.set(self.node.size());
        }
        self.write_at(self.offset.get(), bytes)?;
        self.advance(bytes.len());
        Ok(())
    }

    fn advance(&self, bytes: usize) {
        if matches!(self.node.content, Content::Regular(_)) {
            self.offset.set(self.offset.get() + bytes as u64);
        }
    }
}
