//! Reading and writing of open files.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::ops::Bound;

use linux_raw_sys::general::{
    FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE, O_ACCMODE, O_RDONLY, SEEK_CUR,
    SEEK_END, SEEK_SET, SIGPIPE,
};

use super::Arguments;
use super::program::{self, Buffer};
use crate::errno::{Errno, Result};
use crate::files::node::Node;
use crate::files::open::OpenFile;
use crate::files::path;
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

/// The open regular file behind a descriptor, to be written.
fn to_write(process: &Process, number: u64) -> Result<Rc<OpenFile>> {
    let file = process.descriptors.file(number)?.clone();
    if file.flags.get() & O_ACCMODE == O_RDONLY {
        return Err(Errno::EBADF);
    }
    Ok(file)
}

pub fn truncate_open(process: &mut Process, [number, bytes, ..]: Arguments) -> Result {
    let file = process.descriptors.file(number)?.clone();
    if bytes > i64::MAX as u64 || file.flags.get() & O_ACCMODE == O_RDONLY {
        return Err(Errno::EINVAL);
    }
    let data = file.node.data().map_err(|_| Errno::EINVAL)?;
    data.borrow_mut().resize(bytes, &process.memory)?;
    file.node.touch(process.tree.store.now());
    Ok(0)
}

/// Space is there already; what is asked for beyond the end makes the file longer, and a hole reads as zero.
pub fn allocate(process: &mut Process, [number, mode, offset, bytes, ..]: Arguments) -> Result {
    const PUNCH: u32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    let file = to_write(process, number)?;
    let end = offset
        .checked_add(bytes)
        .filter(|&end| end <= i64::MAX as u64);
    if bytes == 0 || end.is_none() {
        return Err(Errno::EINVAL);
    }
    let data = file.node.data().map_err(|_| Errno::ENODEV)?;
    let mut data = data.borrow_mut();
    let end = end.ok_or(Errno::EFBIG)?;
    match mode as u32 {
        0 if end > data.size() => data.resize(end, &process.memory)?,
        0 | FALLOC_FL_KEEP_SIZE => {}
        PUNCH | FALLOC_FL_ZERO_RANGE => {
            if mode as u32 == FALLOC_FL_ZERO_RANGE && end > data.size() {
                data.resize(end, &process.memory)?;
            }
            data.clear(offset, end, &mut process.memory)?;
        }
        _ => return Err(Errno::EOPNOTSUPP),
    }
    file.node.touch(process.tree.store.now());
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

/// Everything of all files is in memory.
pub fn synchronize_all(_: &mut Process, _: Arguments) -> Result {
    Ok(0)
}

fn kind(node: &Node) -> u8 {
    const SHIFT: u32 = 12;
    (node.kind() >> SHIFT) as u8
}

/// Writes `struct linux_dirent64` entries. The names are read on behind the last one that was, whatever was made or taken away since.
pub fn read_directory(process: &mut Process, [number, address, bytes, ..]: Arguments) -> Result {
    let file = file(process, number)?;
    let names = file.node.names()?.borrow();
    let with_processes = path::names_of_processes(process, &file.node, &names);
    let names = with_processes.as_ref().unwrap_or(&names);
    let parent = file.above.iter().nth_back(1).unwrap_or(&file.node);
    let dots = [(&b"."[..], &file.node), (&b".."[..], parent)];
    let mut next = file.offset.get();
    let listed = file.listed.borrow().clone();
    let (rest, skipped) = match listed {
        Some((offset, name)) if offset == next => {
            let behind = (Bound::Excluded(name), Bound::Unbounded);
            (names.range(behind), 0)
        }
        _ => (names.range(Vec::new()..), next.saturating_sub(2)),
    };
    let all = dots.into_iter().skip(next.min(2) as usize).chain(
        rest.skip(skipped as usize)
            .map(|(name, node)| (name.as_slice(), node)),
    );
    let mut entries = Vec::new();
    let mut last = None;
    for (name, node) in all {
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
        last = Some(name);
    }
    program::write(process, address, &entries)?;
    if let Some(name) = last.filter(|_| next > 2) {
        file.listed.replace(Some((next, name.to_vec())));
    }
    file.offset.set(next);
    Ok(entries.len() as u64)
}

/// Advice is taken as such.
pub fn advise(process: &mut Process, [number, ..]: Arguments) -> Result {
    file(process, number).map(|_| 0)
}
