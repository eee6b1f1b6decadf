//! Copying between open files, without the program's memory.

use alloc::rc::Rc;
use alloc::vec;

use super::program::{self, Buffer};
use super::{Arguments, file};
use crate::errno::{Errno, Result};
use crate::files::node::Content;
use crate::files::open::OpenFile;
use crate::process::Process;
use crate::wait::{self, Stop};

/// Bytes that are copied at a time.
const PIECE: u64 = 32 << 10;

/// One side of a copy: a file, and where in it; without a place, where its last read or write ended.
struct Side {
    file: Rc<OpenFile>,
    place: Option<u64>,
    /// Where the program keeps that place.
    address: u64,
}

impl Side {
    fn new(process: &mut Process, number: u64, address: u64) -> Result<Self> {
        let file = process.descriptors.file(number)?.clone();
        let place = match address {
            0 => None,
            _ => Some(program::read_words::<1>(process, address)?[0]),
        };
        if let Some(place) = place {
            file.check_position()?;
            i64::try_from(place).map_err(|_| Errno::EINVAL)?;
        }
        Ok(Self {
            file,
            place,
            address,
        })
    }

    fn read(&mut self, buffer: &mut Buffer) -> wait::Result {
        match &mut self.place {
            Some(place) => {
                let moved = self.file.read_at(*place, buffer)?;
                *place += moved;
                Ok(moved)
            }
            None => self.file.read(buffer),
        }
    }

    fn write(&mut self, buffer: &mut Buffer) -> wait::Result {
        match &mut self.place {
            Some(place) => {
                let moved = self.file.write_at(*place, buffer)?;
                *place += moved;
                Ok(moved)
            }
            None => self.file.write(buffer),
        }
    }

    /// Takes back what was read and could not be written.
    fn back(&mut self, bytes: u64) {
        match &mut self.place {
            Some(place) => *place -= bytes,
            None => self.file.offset.set(self.file.offset.get() - bytes),
        }
    }

    fn tell(&self, process: &mut Process) -> Result<()> {
        match self.place {
            Some(place) => program::write_words(process, self.address, &[place]),
            None => Ok(()),
        }
    }
}

/// Copies until `bytes` are copied, the source ends, or the target takes no more now.
fn copy(process: &mut Process, from: &mut Side, to: &mut Side, bytes: u64) -> wait::Result {
    // What was read has to be taken back where it cannot be written.
    if !matches!(from.file.node.content, Content::Regular(_)) {
        return Err(Errno::EINVAL.into());
    }
    let mut piece = vec![0; PIECE.min(bytes) as usize];
    let mut copied = 0;
    while copied < bytes {
        let wanted = (bytes - copied).min(PIECE) as usize;
        let place = piece.get_mut(..wanted).unwrap_or_default();
        let read = from.read(&mut Buffer::own(process, place))? as usize;
        if read == 0 {
            break;
        }
        let filled = piece.get_mut(..read).unwrap_or_default();
        let mut buffer = Buffer::own(process, filled);
        let result = to.write(&mut buffer);
        let written = buffer.moved();
        copied += written;
        from.back(read as u64 - written);
        match result {
            Ok(_) if written == read as u64 => {}
            // The rest is for the next call.
            Ok(_) | Err(Stop::Wait(_)) if copied != 0 => break,
            Ok(_) => break,
            Err(Stop::Wait(wait)) => return Err(wait.into()),
            Err(_) if copied != 0 => break,
            Err(stop) => return file::finish_writing(process, Err(stop)),
        }
    }
    from.tell(process)?;
    to.tell(process)?;
    Ok(copied)
}

pub fn send_file(process: &mut Process, [to, from, place, bytes, ..]: Arguments) -> wait::Result {
    let mut to = Side::new(process, to, 0)?;
    let mut from = Side::new(process, from, place)?;
    copy(process, &mut from, &mut to, bytes)
}

pub fn copy_range(
    process: &mut Process,
    [from, from_place, to, to_place, bytes, flags]: Arguments,
) -> wait::Result {
    let mut from = Side::new(process, from, from_place)?;
    let mut to = Side::new(process, to, to_place)?;
    if flags != 0 || !matches!(to.file.node.content, Content::Regular(_)) {
        return Err(Errno::EINVAL.into());
    }
    copy(process, &mut from, &mut to, bytes)
}
