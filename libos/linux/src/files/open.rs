//! Open files: a node, and how it is used.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;

use linux_raw_sys::general::{O_ACCMODE, O_APPEND, O_RDONLY, O_WRONLY};

use super::node::{Content, Node};
use crate::calls::program::Buffer;
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

    /// Refuses positions where there are none.
    pub fn check_position(&self) -> Result<()> {
        match &self.node.content {
            Content::Regular(_) | Content::Directory(_) | Content::Link(_) => Ok(()),
            Content::Device(device) if device.has_position() => Ok(()),
            Content::Device(_) => Err(Errno::ESPIPE),
        }
    }

    /// Reads what is at `offset`; says how many bytes.
    pub fn read_at(&self, offset: u64, buffer: &mut Buffer) -> Result {
        self.check(O_WRONLY)?;
        self.check_position()?;
        self.fill(offset, buffer)?;
        Ok(buffer.moved())
    }

    /// Writes at `offset`; says how many bytes.
    pub fn write_at(&self, offset: u64, buffer: &mut Buffer) -> Result {
        self.check(O_RDONLY)?;
        self.check_position()?;
        self.empty(offset, buffer)?;
        Ok(buffer.moved())
    }

    /// Reads where the last read or write ended.
    pub fn read(&self, buffer: &mut Buffer) -> Result {
        self.check(O_WRONLY)?;
        self.fill(self.offset.get(), buffer)?;
        self.advance(buffer);
        Ok(buffer.moved())
    }

    /// Writes where the last read or write ended, or at the end of a file that is open for appending.
    pub fn write(&self, buffer: &mut Buffer) -> Result {
        self.check(O_RDONLY)?;
        if self.flags.get() & O_APPEND != 0 {
            self.offset.set(self.node.size());
        }
        self.empty(self.offset.get(), buffer)?;
        self.advance(buffer);
        Ok(buffer.moved())
    }

    fn fill(&self, offset: u64, buffer: &mut Buffer) -> Result<()> {
        match &self.node.content {
            Content::Regular(data) => {
                let data = data.borrow();
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                buffer.put(data.get(start..).unwrap_or_default()).map(drop)
            }
            Content::Device(device) => device.read(buffer),
            Content::Directory(_) => Err(Errno::EISDIR),
            Content::Link(_) => Err(Errno::EINVAL),
        }
    }

    fn empty(&self, offset: u64, buffer: &mut Buffer) -> Result<()> {
        match &self.node.content {
            Content::Regular(data) => write_regular(&mut data.borrow_mut(), offset, buffer),
            Content::Device(device) => device.write(buffer),
            Content::Directory(_) => Err(Errno::EISDIR),
            Content::Link(_) => Err(Errno::EINVAL),
        }
    }

    fn advance(&self, buffer: &Buffer) {
        if matches!(self.node.content, Content::Regular(_)) {
            self.offset.set(self.offset.get() + buffer.moved());
        }
    }
}

fn write_regular(data: &mut Vec<u8>, offset: u64, buffer: &mut Buffer) -> Result<()> {
    if buffer.left() == 0 {
        return Ok(());
    }
    let end = offset
        .checked_add(buffer.left())
        .filter(|&end| end <= FILE_BYTES_MAX)
        .ok_or(Errno::EFBIG)? as usize;
    let before = data.len();
    if before < end {
        data.try_reserve(end - before).map_err(|_| Errno::ENOSPC)?;
        data.resize(end, 0);
    }
    let place = data.get_mut(offset as usize..end).unwrap_or_default();
    let written = buffer.take(place);
    if written.is_err() {
        data.truncate(before);
    }
    written.map(drop)
}
