//! Contents of a regular file: what the root file system has, under pages of our own where they were written.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;

use exo_abi::address::PAGE_SIZE;
use exo_rt::program_memory;

use super::store::Store;
use crate::calls::program::Buffer;
use crate::errno::{Errno, Result};
use crate::memory::{Memory, attached};
use crate::options::Attachment;

/// Largest file.
pub const FILE_BYTES_MAX: u64 = 1 << 46;

/// Contents that are read when they are wanted.
pub trait Source {
    /// Copies bytes from `offset` on to an address of ours.
    fn read(&mut self, offset: u64, to: u64, bytes: u64) -> Result<()>;
}

/// A text that was made.
pub struct Text(pub Vec<u8>);

impl Source for Text {
    fn read(&mut self, offset: u64, to: u64, bytes: u64) -> Result<()> {
        let end = (offset + bytes) as usize;
        let part = self.0.get(offset as usize..end).ok_or(Errno::EIO)?;
        Ok(program_memory::write(to, part)?)
    }
}

/// What lies under the pages of a file.
pub enum Base {
    /// Zeros.
    Nothing,
    /// The host's file, in attached blocks from this physical address on.
    Attached(u64),
    /// What has to be fetched.
    Source(RefCell<Box<dyn Source>>),
}

impl fmt::Debug for Base {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nothing => "nothing",
            Self::Attached(_) => "attached",
            Self::Source(_) => "source",
        })
    }
}

/// The contents of one file.
#[derive(Debug)]
pub struct Data {
    store: Rc<Store>,
    size: u64,
    /// Frames by number of the page.
    pages: BTreeMap<u64, u64>,
    base: Base,
    /// Bytes of the base that are still the file's.
    base_bytes: u64,
    /// Whether frames that the file loses may still be mapped.
    keeps: bool,
    /// Those.
    kept: Vec<u64>,
}

impl Data {
    /// An empty file.
    pub fn new(store: &Rc<Store>) -> Self {
        Self::over(store, Base::Nothing, 0)
    }

    /// A file with contents.
    pub fn over(store: &Rc<Store>, base: Base, bytes: u64) -> Self {
        Self {
            store: store.clone(),
            size: bytes,
            pages: BTreeMap::new(),
            base,
            base_bytes: bytes,
            keeps: false,
            kept: Vec::new(),
        }
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Says that the file is mapped: frames that it loses are kept from others as long as it is there.
    pub fn keep(&mut self) {
        self.keeps = true;
    }

    /// Copies a page to a frame that reads as zero.
    pub fn copy_page(&mut self, page: u64, frame: u64, memory: &mut Memory) -> Result<()> {
        let from = self.page_to_read(page, memory)?;
        program_memory::copy(
            attached::view(from * PAGE_SIZE),
            memory.view(frame),
            PAGE_SIZE,
        )?;
        Ok(())
    }

    /// Bytes that it takes in memory or in the root file system.
    pub fn stored(&self) -> u64 {
        (self.pages.len() as u64 * PAGE_SIZE).max(self.base_bytes)
    }

    /// Fills the buffer with what is at `offset`, up to the end of the file.
    pub fn read(&mut self, offset: u64, buffer: &mut Buffer) -> Result<()> {
        let mut at = offset;
        while buffer.left() != 0 && at < self.size {
            let left = buffer.left().min(self.size - at);
            let within = at % PAGE_SIZE;
            let page = at / PAGE_SIZE;
            if matches!(self.base, Base::Source(_)) && at < self.base_bytes {
                self.page(page, buffer.memory())?;
            }
            let moved = if let Some(&frame) = self.pages.get(&page) {
                let from = buffer.memory().view(frame) + within;
                buffer.put_from(from, left.min(PAGE_SIZE - within))?
            } else {
                let next = self.pages.range(page..).next();
                let run = next.map_or(left, |(&next, _)| left.min(next * PAGE_SIZE - at));
                match self.base {
                    Base::Attached(physical) if at < self.base_bytes => {
                        let from = attached::view(physical + at);
                        buffer.put_from(from, run.min(self.base_bytes - at))?
                    }
                    _ => buffer.put_zeros(run)?,
                }
            };
            at += moved;
        }
        Ok(())
    }

    /// Writes the buffer at `offset`.
    pub fn write(&mut self, offset: u64, buffer: &mut Buffer) -> Result<()> {
        let end = offset.checked_add(buffer.left());
        if end.is_none_or(|end| end > FILE_BYTES_MAX) {
            return Err(Errno::EFBIG);
        }
        let mut at = offset;
        while buffer.left() != 0 {
            let within = at % PAGE_SIZE;
            let bytes = buffer.left().min(PAGE_SIZE - within);
            let frame = self.page(at / PAGE_SIZE, buffer.memory())?;
            let to = buffer.memory().view(frame) + within;
            at += buffer.take_to(to, bytes)?;
            self.size = self.size.max(at);
        }
        Ok(())
    }

    /// The frame of a page of its own, which is made if it is not there.
    pub fn page(&mut self, page: u64, memory: &mut Memory) -> Result {
        if let Some(&frame) = self.pages.get(&page) {
            return Ok(frame);
        }
        let frame = self.store.take_frame(memory).ok_or(Errno::ENOSPC)?;
        let address = memory.view(frame);
        let start = page * PAGE_SIZE;
        let bytes = self.base_bytes.saturating_sub(start).min(PAGE_SIZE);
        let filled = match &self.base {
            _ if bytes == 0 => Ok(()),
            Base::Nothing => Ok(()),
            Base::Attached(base) => {
                program_memory::copy(attached::view(base + start), address, bytes)
                    .map_err(Errno::from)
            }
            Base::Source(source) => source.borrow_mut().read(start, address, bytes),
        };
        let zeroed = program_memory::zero(address + bytes, PAGE_SIZE - bytes);
        if filled.is_err() || zeroed.is_err() {
            self.store.give_frames([frame].into_iter());
            return Err(Errno::EIO);
        }
        self.pages.insert(page, frame);
        Ok(frame)
    }

    /// The frame of a page that is only read: that of the host's file, if it has one of the same contents.
    pub fn page_to_read(&mut self, page: u64, memory: &mut Memory) -> Result {
        let start = page * PAGE_SIZE;
        let is_whole = start + PAGE_SIZE <= self.base_bytes || self.base_bytes == self.size;
        match self.base {
            Base::Attached(physical)
                if physical.is_multiple_of(PAGE_SIZE)
                    && start < self.base_bytes
                    && is_whole
                    && !self.pages.contains_key(&page) =>
            {
                Ok((physical + start) / PAGE_SIZE)
            }
            _ => self.page(page, memory),
        }
    }

    /// All of the contents in one piece, for whoever loads it: the host's file itself, or a copy, which stays as it is.
    pub fn whole(&mut self, memory: &mut Memory) -> Result<Attachment> {
        let bytes = self.size;
        if let Base::Attached(physical) = self.base
            && physical.is_multiple_of(PAGE_SIZE)
            && self.pages.is_empty()
            && self.base_bytes == bytes
        {
            return Ok(Attachment { physical, bytes });
        }
        let pages = bytes.div_ceil(PAGE_SIZE);
        let first = memory.take_frames(pages).ok_or(Errno::ENOMEM)?;
        let copy = memory.view(first);
        for page in 0..pages {
            let frame = self.page_to_read(page, memory)?;
            let from = attached::view(frame * PAGE_SIZE);
            program_memory::copy(from, copy + page * PAGE_SIZE, PAGE_SIZE)?;
        }
        Ok(Attachment {
            physical: first * PAGE_SIZE,
            bytes,
        })
    }

    /// Makes a range read as zero, as far as the file goes.
    pub fn clear(&mut self, start: u64, end: u64, memory: &mut Memory) -> Result<()> {
        let end = end.min(self.size);
        let mut at = start;
        while at < end {
            let within = at % PAGE_SIZE;
            let bytes = (end - at).min(PAGE_SIZE - within);
            let frame = self.page(at / PAGE_SIZE, memory)?;
            program_memory::zero(memory.view(frame) + within, bytes)?;
            at += bytes;
        }
        Ok(())
    }

    /// Makes the file shorter or longer.
    pub fn resize(&mut self, size: u64, memory: &Memory) -> Result<()> {
        if size > FILE_BYTES_MAX {
            return Err(Errno::EFBIG);
        }
        if size < self.size {
            self.base_bytes = self.base_bytes.min(size);
            let gone = self.pages.split_off(&size.div_ceil(PAGE_SIZE));
            match self.keeps {
                true => self.kept.extend(gone.into_values()),
                false => self.store.give_frames(gone.into_values()),
            }
            // What comes back later is zero.
            if let Some(&frame) = self.pages.get(&(size / PAGE_SIZE)) {
                let within = size % PAGE_SIZE;
                program_memory::zero(memory.view(frame) + within, PAGE_SIZE - within)?;
            }
        }
        self.size = size;
        Ok(())
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let pages = core::mem::take(&mut self.pages).into_values();
        self.store.give_frames(pages.chain(self.kept.drain(..)));
    }
}
