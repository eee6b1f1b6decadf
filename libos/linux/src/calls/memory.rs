//! Memory of the program.

use exo_abi::Rights;
use linux_raw_sys::general::{
    MADV_DONTNEED, MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_SHARED, PROT_EXEC, PROT_READ,
    PROT_WRITE,
};

use super::Arguments;
use super::program::Buffer;
use crate::errno::{Errno, Result};
use crate::process::Process;
use crate::wait::{self, Stop};

fn rights(protection: u64) -> Result<Rights> {
    let protection = protection as u32;
    if protection & !(PROT_READ | PROT_WRITE | PROT_EXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    let mut rights = Rights::NONE;
    for (bit, right) in [
        (PROT_READ, Rights::READ),
        (PROT_WRITE, Rights::READ_WRITE),
        (PROT_EXEC, Rights::READ_EXECUTE),
    ] {
        if protection & bit != 0 {
            rights = rights.union(right);
        }
    }
    Ok(rights)
}

pub fn map(
    process: &mut Process,
    [address, bytes, protection, flags, number, offset]: Arguments,
) -> wait::Result {
    let wanted = rights(protection)?;
    let flags = flags as u32;
    if flags & MAP_ANONYMOUS != 0 {
        if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0 {
            return Ok(process.memory.map_anonymous_at(address, bytes, wanted)?);
        }
        return Ok(process.memory.map_anonymous(bytes, wanted)?);
    }
    // A file: its bytes are copied. Nobody else could see writes to a shared mapping of a file in memory but through the file.
    let file = process.descriptors.file(number)?.clone();
    if flags & MAP_SHARED != 0 && wanted.contains(Rights::WRITE) {
        return Err(Errno::ENODEV.into());
    }
    let start = match flags & MAP_FIXED {
        0 => process.memory.map_anonymous(bytes, Rights::READ_WRITE)?,
        _ => process
            .memory
            .map_anonymous_at(address, bytes, Rights::READ_WRITE)?,
    };
    let read = Buffer::new(process, start, bytes)
        .map_err(Stop::from)
        .and_then(|mut buffer| file.read_at(offset, &mut buffer));
    if let Err(error) = read {
        process.memory.unmap(start, bytes)?;
        return Err(error);
    }
    if wanted != Rights::READ_WRITE {
        process.memory.protect(start, bytes, wanted)?;
    }
    Ok(start)
}

pub fn unmap(process: &mut Process, [address, bytes, ..]: Arguments) -> Result {
    process.memory.unmap(address, bytes).map(|()| 0)
}

pub fn protect(process: &mut Process, [address, bytes, protection, ..]: Arguments) -> Result {
    let rights = rights(protection)?;
    process.memory.protect(address, bytes, rights).map(|()| 0)
}

pub fn set_break(process: &mut Process, [address, ..]: Arguments) -> Result {
    Ok(process.memory.set_break(address))
}

/// Advice is taken as such, but for that which changes what is read afterwards.
pub fn advise(process: &mut Process, [address, bytes, advice, ..]: Arguments) -> Result {
    if advice as u32 == MADV_DONTNEED {
        process.memory.discard(address, bytes)?;
    }
    Ok(0)
}
