//! Pipes.

use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK, O_RDONLY, O_WRONLY};

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::files::node::Content;
use crate::files::open::OpenFile;
use crate::files::pipe::Pipe;
use crate::process::Process;

pub fn make(process: &mut Process, [address, ..]: Arguments) -> Result {
    make_with_flags(process, [address, 0, 0, 0, 0, 0])
}

pub fn make_with_flags(process: &mut Process, [address, flags, ..]: Arguments) -> Result {
    let flags = flags as u32;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let node = process.tree.create(Content::Pipe(Pipe::new(false)), 0o600);
    let ends = [O_RDONLY, O_WRONLY].map(|access| {
        OpenFile::new(
            node.clone(),
            alloc::vec::Vec::new(),
            access | flags & O_NONBLOCK,
        )
    });
    add_two(process, address, ends, flags & O_CLOEXEC != 0)
}

/// Gives two files numbers, and writes these as two `int`.
pub fn add_two(
    process: &mut Process,
    address: u64,
    [one, other]: [alloc::rc::Rc<OpenFile>; 2],
    closes_on_exec: bool,
) -> Result {
    let first = process.descriptors.add(0, one, closes_on_exec)?;
    let second = process.descriptors.add(0, other, closes_on_exec);
    let written = second.and_then(|second| {
        let pair = second << 32 | first;
        let result = program::write(process, address, &pair.to_le_bytes());
        result.inspect_err(|_| {
            let _ = process.descriptors.close(second);
        })
    });
    if let Err(error) = written {
        process.descriptors.close(first)?;
        return Err(error);
    }
    Ok(0)
}
