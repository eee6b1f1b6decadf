//! How the processor is shared, as a program sees it: by all threads in turn, with none before the others; and how much of it was used.

use linux_raw_sys::general::{SCHED_FIFO, SCHED_NORMAL, SCHED_RR};

use super::time::now;
use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::process::Process;
use crate::usage::words;

/// Nanoseconds of a turn, as `sched_rr_get_interval` tells it.
const TURN: u64 = 10_000_000;
/// What the highest priority of a realtime policy is.
const PRIORITY_MAX: u64 = 99;
/// `getpriority` tells 20 less the nice value, which is 0.
const PRIORITY: u64 = 20;
/// Nanoseconds of a tick of `times`.
const TICK: u64 = 10_000_000;

/// Whether there is such a thread or process; 0 is the caller.
fn check(process: &mut Process, number: u64) -> Result<()> {
    let number = number as u32;
    let is_there = number == 0
        || process.threads.get_mut(number).is_some()
        || process.family.member(number).is_some();
    is_there.then_some(()).ok_or(Errno::ESRCH)
}

pub fn policy(process: &mut Process, [number, ..]: Arguments) -> Result {
    check(process, number)?;
    Ok(SCHED_NORMAL.into())
}

pub fn parameters(process: &mut Process, [number, address, ..]: Arguments) -> Result {
    check(process, number)?;
    program::write(process, address, &0u32.to_le_bytes())?;
    Ok(0)
}

pub fn priority_max(_: &mut Process, [policy, ..]: Arguments) -> Result {
    match policy as u32 {
        SCHED_FIFO | SCHED_RR => Ok(PRIORITY_MAX),
        0..=6 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

pub fn priority_min(process: &mut Process, arguments: Arguments) -> Result {
    priority_max(process, arguments).map(|most| most.min(1))
}

pub fn turn(process: &mut Process, [number, address, ..]: Arguments) -> Result {
    check(process, number)?;
    program::write_words(process, address, &[0, TURN])?;
    Ok(0)
}

pub fn priority(_: &mut Process, [which, ..]: Arguments) -> Result {
    const KINDS: u64 = 3;
    match which {
        0..KINDS => Ok(PRIORITY),
        _ => Err(Errno::EINVAL),
    }
}

/// With one processor every access is in order.
pub fn order(_: &mut Process, [command, ..]: Arguments) -> Result {
    /// All plain commands: global, expedited ones and their registrations.
    const COMMANDS: u64 = 0x7f;
    match command {
        0 => Ok(COMMANDS),
        command if command.is_power_of_two() && command & COMMANDS != 0 => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}

pub fn usage(process: &mut Process, [who, address, ..]: Arguments) -> Result {
    const CHILDREN: i32 = -1;
    const THREAD: i32 = 1;
    let used = match who as i32 {
        CHILDREN => process.usage.children.get(),
        0 | THREAD => process.usage.own(),
        _ => return Err(Errno::EINVAL),
    };
    program::write_words(process, address, &words(used))?;
    Ok(0)
}

pub fn times(process: &mut Process, [address, ..]: Arguments) -> Result {
    if address != 0 {
        let [own, children] = [process.usage.own(), process.usage.children.get()];
        program::write_words(process, address, &[own / TICK, 0, children / TICK, 0])?;
    }
    Ok(now() / TICK)
}
