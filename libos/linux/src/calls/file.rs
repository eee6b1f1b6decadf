//! Reading and writing of open files.

use alloc::rc::Rc;

use linux_raw_sys::general::{
    DT_CHR, DT_DIR, DT_FIFO, DT_LNK, DT_REG, DT_SOCK, DT_UNKNOWN, SEEK_CUR, SEEK_END, SEEK_SET,
    SIGPIPE,
};

use super::Arguments;
use super::program::{self, Buffer};
use crate::errno::{Errno, Result};
use crate::files::node::{Content, Node};
use crate::files::open::OpenFile;
use crate::files::status as encoding;
use crate::process::Process;
use crate::signal::{Information, delivery};
use crate::wait::{self, Stop};

fn file(process: &Process, number: u64) -> Result<Rc<OpenFile>> {
    process.descriptors.file(number).cloned()
}

pub fn read(process: &mut Process, [number, address, bytes, ..]: Arguments) -> wait::Result {
    let file = file(process, number)?;
    file.read(&mut Buffer::new(process, address, bytes)?)
}

pub fn write(process: &mut Process, [number, address, bytes, ..]: Arguments) -> wait::Result {
    let file = file(process, number)?;
    let result = file.write(&mut Buffer::new(process, address, bytes)?);
    finish_writing(process, result)
}

/// Who writes to where nobody reads gets a signal too.
pub fn finish_writing(process: &mut Process, result: wait::Result) -> wait::Result {
    if let Err(Stop::Error(Errno::EPIPE)) = result {
        let thread = Some(process.threads.current.number);
        // What is pending already need not be so twice.
        let _ = delivery::send(process, thread, Information::kernel(SIGPIPE));
    }
    result
}

pub fn pread(
    process: &mut Process,
    [number, address, bytes, offset, ..]: Arguments,
) -> wait::Result {
    let file = file(process, number)?;
    file.read_at(offset, &mut Buffer::new(process, address, bytes)?)
}

pub fn pwrite(
    process: &mut Process,
    [number, address, bytes, offset, ..]: Arguments,
) -> wait::Result {
    let file = file(process, number)?;
    file.write_at(offset, &mut Buffer::new(process, address, bytes)?)
}

pub fn readv(process: &mut Process, [number, vector, entries, ..]: Arguments) -> wait::Result {
    let file = file(process, number)?;
    file.read(&mut Buffer::vector(process, vector, entries)?)
}

pub fn writev(process: &mut Process, [number, vector, entries, ..]: Arguments) -> wait::Result {
    let file = file(process, number)?;
    let result = file.write(&mut Buffer::vector(process, vector, entries)?);
    finish_writing(process, result)
}

pub fn preadv(
    process: &mut Process,
    [number, vector, entries, offset, ..]: Arguments,
) -> wait::Result {
    let file = file(process, number)?;
    file.read_at(offset, &mut Buffer::vector(process, vector, entries)?)
}

pub fn pwritev(
    process: &mut Process,
    [number, vector, entries, offset, ..]: Arguments,
) -> wait::Result {
    let file = file(process, number)?;
    file.write_at(offset, &mut Buffer::vector(process, vector, entries)?)
}

pub fn seek(process: &mut Process, [number, offset, origin, ..]: Arguments) -> Result {
    let file = file(process, number)?;
    file.check_position()?;
    let base = match origin as u32 {
        SEEK_SET => 0,
        SEEK_CUR => file.offset.get(),
        SEEK_END => file.node.size(),
        _ => return Err(Errno::EINVAL),
    };
    let target = base
        .checked_add_signed(offset as i64)
        .filter(|&target| target <= i64::MAX as u64)
        .ok_or(Errno::EINVAL)?;
    file.offset.set(target);
    Ok(target)
}

pub fn truncate_open(process: &mut Process, [number, bytes, ..]: Arguments) -> Result {
    let file = file(process, number)?;
    let Content::Regular(data) = &file.node.content else {
        return Err(Errno::EINVAL);
    };
    let bytes = usize::try_from(bytes).map_err(|_| Errno::EINVAL)?;
    let mut data = data.borrow_mut();
    let more = bytes.saturating_sub(data.len());
    data.try_reserve(more).map_err(|_| Errno::ENOSPC)?;
    data.resize(bytes, 0);
    Ok(0)
}

/// Everything is in memory: there is nothing to bring anywhere.
pub fn synchronize(process: &mut Process, [number, ..]: Arguments) -> Result {
    file(process, number).map(|_| 0)
}

pub fn status(process: &mut Process, [number, address, ..]: Arguments) -> Result {
    let file = file(process, number)?;
    program::write(process, address, &encoding::encode(&file.node))?;
    Ok(0)
}

fn kind(node: &Node) -> u8 {
    let kind = match node.content {
        Content::Regular(_) => DT_REG,
        Content::Directory(_) => DT_DIR,
        Content::Link(_) => DT_LNK,
        Content::Device(_) | Content::Terminal(_) => DT_CHR,
        Content::Pipe(_) | Content::Stream(..) => DT_FIFO,
        Content::Socket(_) => DT_SOCK,
        Content::Counter(_) | Content::Timer(_) | Content::Signals(_) | Content::Epoll(_) => {
            DT_UNKNOWN
        }
    };
    kind as u8
}

/// Writes `struct linux_dirent64` entries.
pub fn read_directory(process: &mut Process, [number, address, bytes, ..]: Arguments) -> Result {
    let file = file(process, number)?;
    let names = file.node.names()?.borrow();
    let parent = file.above.iter().nth_back(1).unwrap_or(&file.node);
    let dots = [(&b"."[..], &file.node), (&b".."[..], parent)];
    let all = dots
        .into_iter()
        .chain(names.iter().map(|(name, node)| (name.as_slice(), node)));
    let mut entries = alloc::vec::Vec::new();
    let mut next = file.offset.get();
    for (name, node) in all.skip(next as usize) {
        // Number, offset, length, kind, name with its zero; a multiple of 8 bytes.
        let length = (19 + name.len() + 1).next_multiple_of(8);
        if (entries.len() + length) as u64 > bytes {
            if entries.is_empty() {
                return Err(Errno::EINVAL);
            }
            break;
        }
        next += 1;
        let end = entries.len() + length;
        entries.extend(node.number.to_le_bytes());
        entries.extend(next.to_le_bytes());
        entries.extend((length as u16).to_le_bytes());
        entries.push(kind(node));
        entries.extend(name);
        entries.resize(end, 0);
    }
    program::write(process, address, &entries)?;
    file.offset.set(next);
    Ok(entries.len() as u64)
}
