//! Descriptors: numbers for open files, and what can be asked of them.

use exo_abi::address::PAGE_SIZE;
use linux_raw_sys::general::{
    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_GETPIPE_SZ, F_SETFD, F_SETFL, F_SETPIPE_SZ,
    FD_CLOEXEC, O_APPEND, O_CLOEXEC, O_NONBLOCK,
};

use super::{Arguments, lock};
use crate::errno::{Errno, Result};
use crate::files::descriptors::DESCRIPTORS_MAX;
use crate::files::node::Content;
use crate::files::open::OpenFile;
use crate::files::pipe::{CAPACITY_MAX, Pipe};
use crate::process::Process;
use crate::wait;

/// `close_range` marks descriptors, in place of closing them (linux, include/uapi/linux/close_range.h).
const CLOSE_RANGE_CLOEXEC: u32 = 4;

pub fn close(process: &mut Process, [number, ..]: Arguments) -> Result {
    let node = process.descriptors.file(number)?.node.number;
    process.descriptors.close(number)?;
    // Whoever closes any descriptor of a file has no lock on it any more (Linux man page fcntl_locking(2)).
    process.family.locks.release(node, process.member.number);
    Ok(0)
}

pub fn duplicate(process: &mut Process, [number, ..]: Arguments) -> Result {
    let file = process.descriptors.file(number)?.clone();
    process.descriptors.add(0, file, false)
}

pub fn duplicate_to(process: &mut Process, [number, target, ..]: Arguments) -> Result {
    let file = process.descriptors.file(number)?.clone();
    if number as u32 == target as u32 {
        return Ok(target);
    }
    put(process, target, file, false)
}

pub fn duplicate_to_with_flags(
    process: &mut Process,
    [number, target, flags, ..]: Arguments,
) -> Result {
    if number as u32 == target as u32 || flags as u32 & !O_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    let file = process.descriptors.file(number)?.clone();
    put(process, target, file, flags as u32 & O_CLOEXEC != 0)
}

fn put(
    process: &mut Process,
    target: u64,
    file: alloc::rc::Rc<OpenFile>,
    closes_on_exec: bool,
) -> Result {
    if target as u32 as usize >= DESCRIPTORS_MAX {
        return Err(Errno::EBADF);
    }
    process
        .descriptors
        .put(u64::from(target as u32), file, closes_on_exec)
}

pub fn control(process: &mut Process, arguments: Arguments) -> wait::Result {
    if lock::is_control(arguments[1] as u32) {
        return lock::control(process, arguments);
    }
    Ok(control_descriptor(process, arguments)?)
}

fn control_descriptor(process: &mut Process, [number, command, argument, ..]: Arguments) -> Result {
    let descriptor = process.descriptors.get_mut(number)?;
    match command as u32 {
        F_GETFD => Ok(u64::from(descriptor.closes_on_exec) * u64::from(FD_CLOEXEC)),
        F_SETFD => {
            descriptor.closes_on_exec = argument as u32 & FD_CLOEXEC != 0;
            Ok(0)
        }
        F_GETFL => Ok(u64::from(descriptor.file.flags.get())),
        F_SETFL => {
            let changeable = O_APPEND | O_NONBLOCK;
            let flags = &descriptor.file.flags;
            flags.set(flags.get() & !changeable | argument as u32 & changeable);
            Ok(0)
        }
        command @ (F_DUPFD | F_DUPFD_CLOEXEC) => {
            let file = descriptor.file.clone();
            if argument >= DESCRIPTORS_MAX as u64 {
                return Err(Errno::EINVAL);
            }
            process
                .descriptors
                .add(argument, file, command == F_DUPFD_CLOEXEC)
        }
        F_GETPIPE_SZ => pipe(&descriptor.file).map(|pipe| pipe.capacity() as u64),
        F_SETPIPE_SZ => {
            let wanted = usize::try_from(argument).unwrap_or(usize::MAX);
            let pipe = pipe(&descriptor.file)?;
            if wanted > CAPACITY_MAX {
                return Err(Errno::EPERM);
            }
            pipe.set_capacity(wanted.max(PAGE_SIZE as usize).next_power_of_two())?;
            Ok(pipe.capacity() as u64)
        }
        _ => Err(Errno::EINVAL),
    }
}

fn pipe(file: &OpenFile) -> Result<&Pipe> {
    match &file.node.content {
        Content::Pipe(pipe) => Ok(pipe),
        _ => Err(Errno::EBADF),
    }
}

pub fn close_range(process: &mut Process, [first, last, flags, ..]: Arguments) -> Result {
    let (first, last, flags) = (first as u32, last as u32, flags as u32);
    if first > last || flags & !CLOSE_RANGE_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    for number in first..=last.min(DESCRIPTORS_MAX as u32) {
        // Not all of them are open.
        if flags & CLOSE_RANGE_CLOEXEC == 0 {
            let _ = process.descriptors.close(u64::from(number));
        } else if let Ok(descriptor) = process.descriptors.get_mut(u64::from(number)) {
            descriptor.closes_on_exec = true;
        }
    }
    Ok(0)
}
