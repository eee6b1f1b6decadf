//! What a program says and asks of memory that it has: advice, locks, what is there, what is to be written.

use linux_raw_sys::general::{
    MADV_COLD, MADV_COLLAPSE, MADV_DODUMP, MADV_DOFORK, MADV_DONTDUMP, MADV_DONTFORK,
    MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_KEEPONFORK, MADV_MERGEABLE, MADV_NOHUGEPAGE,
    MADV_NORMAL, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_RANDOM,
    MADV_SEQUENTIAL, MADV_UNMERGEABLE, MADV_WILLNEED, MADV_WIPEONFORK, MCL_CURRENT, MCL_FUTURE,
    MCL_ONFAULT, MLOCK_ONFAULT, MS_ASYNC, MS_INVALIDATE, MS_SYNC,
};

use alloc::vec::Vec;

use exo_abi::Rights;
use exo_abi::address::PAGE_SIZE;

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::process::Process;

/// Advice is taken as such, but for that which changes what is read afterwards, or asks for memory at once.
pub fn advise(process: &mut Process, [address, bytes, advice, ..]: Arguments) -> Result {
    if advice as u32 == MADV_DONTNEED {
        process.note_change(address, bytes);
    }
    let memory = &mut process.memory;
    let needed = match advice as u32 {
        MADV_DONTNEED => return memory.discard(address, bytes).map(|()| 0),
        MADV_POPULATE_READ => Rights::READ,
        MADV_POPULATE_WRITE => Rights::WRITE,
        MADV_NORMAL | MADV_RANDOM | MADV_SEQUENTIAL | MADV_WILLNEED | MADV_FREE | MADV_DONTFORK
        | MADV_DOFORK | MADV_MERGEABLE | MADV_UNMERGEABLE | MADV_HUGEPAGE | MADV_NOHUGEPAGE
        | MADV_DONTDUMP | MADV_DODUMP | MADV_WIPEONFORK | MADV_KEEPONFORK | MADV_COLD
        | MADV_PAGEOUT | MADV_COLLAPSE => Rights::NONE,
        _ => return Err(Errno::EINVAL),
    };
    let end = memory.check_present(address, bytes, Errno::EINVAL)?;
    if needed != Rights::NONE && !memory.populate(address, end, needed) {
        return Err(Errno::EFAULT);
    }
    Ok(0)
}

/// What is written to a shared mapping is in its file at once.
pub fn synchronize(process: &mut Process, [address, bytes, flags, ..]: Arguments) -> Result {
    let flags = flags as u32;
    if flags & !(MS_ASYNC | MS_INVALIDATE | MS_SYNC) != 0
        || flags & (MS_ASYNC | MS_SYNC) == MS_ASYNC | MS_SYNC
    {
        return Err(Errno::EINVAL);
    }
    let memory = &process.memory;
    memory
        .check_present(address, bytes, Errno::ENOMEM)
        .map(|_| 0)
}

/// Nothing is ever swapped out: to lock memory is to have it there.
pub fn lock(process: &mut Process, [address, bytes, ..]: Arguments) -> Result {
    lock_range(process, address, bytes, true)
}

pub fn lock_with_flags(process: &mut Process, [address, bytes, flags, ..]: Arguments) -> Result {
    let flags = flags as u32;
    if flags & !MLOCK_ONFAULT != 0 {
        return Err(Errno::EINVAL);
    }
    lock_range(process, address, bytes, flags == 0)
}

fn lock_range(process: &mut Process, address: u64, bytes: u64, is_now: bool) -> Result {
    let start = address / PAGE_SIZE * PAGE_SIZE;
    let bytes = bytes.checked_add(address - start).ok_or(Errno::EINVAL)?;
    let memory = &mut process.memory;
    let end = memory.check_present(start, bytes, Errno::EINVAL)?;
    match !is_now || memory.populate(start, end, Rights::NONE) {
        true => Ok(0),
        false => Err(Errno::ENOMEM),
    }
}

pub fn unlock(process: &mut Process, [address, bytes, ..]: Arguments) -> Result {
    lock_range(process, address, bytes, false)
}

pub fn lock_all(_: &mut Process, [flags, ..]: Arguments) -> Result {
    let flags = flags as u32;
    match flags & !(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0
        || flags & (MCL_CURRENT | MCL_FUTURE) == 0
    {
        true => Err(Errno::EINVAL),
        false => Ok(0),
    }
}

pub fn unlock_all(_: &mut Process, _: Arguments) -> Result {
    Ok(0)
}

/// Which pages are there, a byte each.
pub fn residence(process: &mut Process, [address, bytes, place, ..]: Arguments) -> Result {
    if !address.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let pages = bytes.div_ceil(PAGE_SIZE);
    program::check(address, bytes).map_err(|_| Errno::ENOMEM)?;
    program::check(place, pages)?;
    let end = process
        .memory
        .check_present(address, bytes, Errno::ENOMEM)?;
    let mut next = address;
    while next < end {
        // A buffer at a time.
        let stop = end.min(next + PAGE_SIZE * PAGE_SIZE);
        let memory = &process.memory;
        let all = (next..stop).step_by(PAGE_SIZE as usize);
        let known: Vec<u8> = all.map(|page| u8::from(memory.has_page(page))).collect();
        program::write(process, place + (next - address) / PAGE_SIZE, &known)?;
        next = stop;
    }
    Ok(0)
}
