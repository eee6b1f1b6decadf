//! Descriptors: numbers for open files, and what can be asked of them.

use linux_raw_sys::general::{
    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, O_APPEND, O_CLOEXEC,
    O_NONBLOCK, POLLIN, POLLNVAL, POLLOUT,
};

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::files::descriptors::DESCRIPTORS_MAX;
use crate::process::Process;

pub fn close(process: &mut Process, [number, ..]: Arguments) -> Result {
    process.descriptors.close(number).map(|()| 0)
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
    file: alloc::rc::Rc<crate::files::open::OpenFile>,
    closes_on_exec: bool,
) -> Result {
    if target as u32 as usize >= DESCRIPTORS_MAX {
        return Err(Errno::EBADF);
    }
    process
        .descriptors
        .put(u64::from(target as u32), file, closes_on_exec)
}

pub fn control(process: &mut Process, [number, command, argument, ..]: Arguments) -> Result {
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
        _ => Err(Errno::EINVAL),
    }
}

/// The console is no terminal yet: programs then write without editing of lines.
pub fn control_device(process: &mut Process, [number, ..]: Arguments) -> Result {
    process.descriptors.get(number)?;
    Err(Errno::ENOTTY)
}

/// Files in memory and devices never keep anybody waiting.
pub fn poll(process: &mut Process, [address, entries, ..]: Arguments) -> Result {
    if entries > DESCRIPTORS_MAX as u64 {
        return Err(Errno::EINVAL);
    }
    let mut ready = 0;
    for entry in 0..entries {
        let place = address.wrapping_add(8 * entry);
        let [word] = program::read_words(process, place)?;
        let (number, events) = (word as u32, (word >> 32) as u32 & 0xffff);
        let found = match process.descriptors.get(u64::from(number)) {
            _ if (number as i32) < 0 => 0,
            Ok(_) => events & (POLLIN | POLLOUT),
            Err(_) => POLLNVAL,
        };
        ready += u64::from(found != 0);
        program::write(process, place + 6, &(found as u16).to_le_bytes())?;
    }
    Ok(ready)
}
