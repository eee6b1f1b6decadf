//! Reading and writing of open files.

use alloc::rc::Rc;

use linux_raw_sys::general::{DT_CHR, DT_DIR, DT_LNK, DT_REG, SEEK_CUR, SEEK_END, SEEK_SET};

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::files::node::{Content, Node};
use crate::files::open::OpenFile;
use crate::files::status as encoding;
use crate::process::Process;

/// Bytes that one call moves at most; a program that asks for more gets less, as it must expect.
const BYTES_MAX: u64 = 1 << 20;
/// Entries that `readv` and `writev` take.
const VECTOR_MAX: u64 = 1024;

fn count(bytes: u64) -> usize {
    bytes.min(BYTES_MAX) as usize
}

fn file(process: &Process, number: u64) -> Result<Rc<OpenFile>> {
    process.descriptors.file(number).cloned()
}

pub fn read(process: &mut Process, [number, address, bytes, ..]: Arguments) -> Result {
    let file = file(process, number)?;
    let before = file.offset.get();
    let data = file.read(count(bytes))?;
    program::write(process, address, &data).inspect_err(|_| file.offset.set(before))?;
    Ok(data.len() as u64)
}

pub fn write(process: &mut Process, [number, address, bytes, ..]: Arguments) -> Result {
    let file = file(process, number)?;
    let data = program::read(process, address, count(bytes))?;
    file.write(&data)?;
    Ok(data.len() as u64)
}

pub fn pread(process: &mut Process, [number, address, bytes, offset, ..]: Arguments) -> Result {
    let data = file(process, number)?.read_at(offset, count(bytes))?;
    program::write(process, address, &data)?;
    Ok(data.len() as u64)
}

pub fn pwrite(process: &mut Process, [number, address, bytes, offset, ..]: Arguments) -> Result {
    let data = program::read(process, address, count(bytes))?;
    file(process, number)?.write_at(offset, &data)?;
    Ok(data.len() as u64)
}

/// Does a call for each entry of a vector, until one is not done in full.
fn for_each(
    process: &mut Process,
    [number, vector, entries, ..]: Arguments,
    call: fn(&mut Process, Arguments) -> Result,
) -> Result {
    if entries > VECTOR_MAX {
        return Err(Errno::EINVAL);
    }
    let mut done = 0;
    for entry in 0..entries {
        let [address, bytes] = program::read_words(process, vector.wrapping_add(16 * entry))?;
        match call(process, [number, address, bytes, 0, 0, 0]) {
            Ok(moved) => {
                done += moved;
                if moved < bytes {
                    break;
                }
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

pub fn readv(process: &mut Process, arguments: Arguments) -> Result {
    for_each(process, arguments, read)
}

pub fn writev(process: &mut Process, arguments: Arguments) -> Result {
    for_each(process, arguments, write)
}

pub fn seek(process: &mut Process, [number, offset, origin, ..]: Arguments) -> Result {
    let file = file(process, number)?;
    if matches!(file.node.content, Content::Device(_)) {
        return Err(Errno::ESPIPE);
    }
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
        Content::Device(_) => DT_CHR,
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
        if entries.len() + length > count(bytes) {
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
