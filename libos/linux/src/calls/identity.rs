//! Who the program is, what the system is, and what it may have.

use linux_raw_sys::general::{RLIM64_INFINITY, RLIMIT_NOFILE, RLIMIT_STACK};

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::files::descriptors::DESCRIPTORS_MAX;
use crate::files::device;
use crate::process::Process;
use crate::stack::STACK_BYTES;

/// Length of a field of `struct new_utsname`.
const NAME_BYTES: usize = 65;
/// Limits that there are.
const LIMITS: u64 = 16;

pub fn process(process: &mut Process, _: Arguments) -> Result {
    Ok(u64::from(process.member.number))
}

pub fn parent(process: &mut Process, _: Arguments) -> Result {
    Ok(u64::from(process.member.parent.get()))
}

pub fn user(process: &mut Process, _: Arguments) -> Result {
    Ok(u64::from(process.credentials.user))
}

pub fn group(process: &mut Process, _: Arguments) -> Result {
    Ok(u64::from(process.credentials.group))
}

/// Real, effective and saved number are one.
fn write_three(process: &mut Process, number: u32, addresses: Arguments) -> Result {
    for address in addresses.into_iter().take(3) {
        program::write(process, address, &number.to_le_bytes())?;
    }
    Ok(0)
}

pub fn users(process: &mut Process, addresses: Arguments) -> Result {
    write_three(process, process.credentials.user, addresses)
}

pub fn groups(process: &mut Process, addresses: Arguments) -> Result {
    write_three(process, process.credentials.group, addresses)
}

/// There are no further groups.
pub fn no_groups(_: &mut Process, _: Arguments) -> Result {
    Ok(0)
}

pub fn name_system(process: &mut Process, [address, ..]: Arguments) -> Result {
    let mut fields = [0; NAME_BYTES * 6];
    let texts = [
        "Linux",
        "exovisor",
        "6.1.0",
        concat!("Exovisor ", env!("CARGO_PKG_VERSION")),
        "x86_64",
        "(none)",
    ];
    for (field, text) in fields.chunks_mut(NAME_BYTES).zip(texts) {
        for (place, byte) in field.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
    }
    program::write(process, address, &fields)?;
    Ok(0)
}

/// Limits are told and not changed.
pub fn limit(process: &mut Process, [_, resource, new, old, ..]: Arguments) -> Result {
    if resource >= LIMITS {
        return Err(Errno::EINVAL);
    }
    let infinity = RLIM64_INFINITY as u64;
    let limits = match resource as u32 {
        RLIMIT_NOFILE => [DESCRIPTORS_MAX as u64; 2],
        RLIMIT_STACK => [STACK_BYTES, infinity],
        _ => [infinity; 2],
    };
    if new != 0 {
        let [soft, hard] = program::read_words(process, new)?;
        if soft > hard {
            return Err(Errno::EINVAL);
        }
    }
    if old != 0 {
        program::write_words(process, old, &limits)?;
    }
    Ok(0)
}

pub fn get_limit(process: &mut Process, [resource, old, ..]: Arguments) -> Result {
    limit(process, [0, resource, 0, old, 0, 0])
}

pub fn set_limit(process: &mut Process, [resource, new, ..]: Arguments) -> Result {
    limit(process, [0, resource, new, 0, 0, 0])
}

/// Writes `struct sysinfo` (linux, include/uapi/linux/sysinfo.h).
pub fn describe_system(process: &mut Process, [address, ..]: Arguments) -> Result {
    let entry = exo_rt::tables::own_environment();
    let page = exo_abi::address::PAGE_SIZE;
    let [total, used] = [entry.frames_quota, entry.frames].map(|frames| u64::from(frames) * page);
    let uptime = super::now() / 1_000_000_000;
    let words = [
        uptime,
        0,
        0,
        0,
        total,
        total.saturating_sub(used),
        0,
        0,
        0,
        0,
        1, // processes, padding
        0,
        0,
        1, // bytes of a unit, padding
    ];
    program::write_words(process, address, &words)?;
    Ok(0)
}

/// One processor is all that a program sees.
pub fn processors(process: &mut Process, [_, bytes, address, ..]: Arguments) -> Result {
    const MASK_BYTES: u64 = 8;
    if bytes < MASK_BYTES || bytes % MASK_BYTES != 0 {
        return Err(Errno::EINVAL);
    }
    program::write_words(process, address, &[1])?;
    Ok(MASK_BYTES)
}

/// A choice that leaves that one out cannot be met.
pub fn choose_processors(process: &mut Process, [_, bytes, address, ..]: Arguments) -> Result {
    if bytes == 0 {
        return Err(Errno::EINVAL);
    }
    let first = program::read(process, address, 1)?;
    match first.first().is_some_and(|byte| byte & 1 != 0) {
        true => Ok(0),
        false => Err(Errno::EINVAL),
    }
}

pub fn processor(process: &mut Process, [processor, node, ..]: Arguments) -> Result {
    for address in [processor, node] {
        if address != 0 {
            program::write(process, address, &[0; 4])?;
        }
    }
    Ok(0)
}

pub fn random(process: &mut Process, [address, bytes, ..]: Arguments) -> Result {
    const BYTES_MAX: u64 = 256;
    let data = device::random(bytes.min(BYTES_MAX) as usize);
    program::write(process, address, &data)?;
    Ok(data.len() as u64)
}
