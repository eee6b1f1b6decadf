//! Clocks, all of which are the time stamp counter.

use linux_raw_sys::general::{
    CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, CLOCK_MONOTONIC_RAW,
    CLOCK_PROCESS_CPUTIME_ID, CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_THREAD_CPUTIME_ID,
    TIMER_ABSTIME,
};

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::process::Process;
use crate::signal::delivery;
use crate::wait::{self, Interrupted, Wait};

/// Nanoseconds of a second.
pub const SECOND: u64 = 1_000_000_000;

pub use exo_rt::clock::nanoseconds as now;

/// Nanoseconds of a clock.
pub fn read(process: &Process, clock: u64) -> Result {
    match clock as u32 {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE => Ok(process.tree.store.now()),
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME => {
            Ok(now())
        }
        CLOCK_PROCESS_CPUTIME_ID | CLOCK_THREAD_CPUTIME_ID => Ok(process.usage.own()),
        clock => {
            // The clock of a process or a thread by number (clock_getcpuclockid(3)).
            let number = !(clock as i32 >> 3);
            let is_own = number == 0
                || number as u32 == process.member.number
                || process.threads.has(number as u32);
            match (clock as i32) < 0 && is_own {
                true => Ok(process.usage.own()),
                false => Err(Errno::EINVAL),
            }
        }
    }
}

pub fn clock(process: &mut Process, [clock, address, ..]: Arguments) -> Result {
    let time = read(process, clock)?;
    program::write_words(process, address, &[time / SECOND, time % SECOND])?;
    Ok(0)
}

pub fn resolution(process: &mut Process, [clock, address, ..]: Arguments) -> Result {
    read(process, clock)?;
    if address != 0 {
        program::write_words(process, address, &[0, 1])?;
    }
    Ok(0)
}

pub fn time_of_day(process: &mut Process, [address, ..]: Arguments) -> Result {
    let time = process.tree.store.now();
    if address != 0 {
        program::write_words(process, address, &[time / SECOND, time % SECOND / 1000])?;
    }
    Ok(0)
}

pub fn seconds(process: &mut Process, [address, ..]: Arguments) -> Result {
    let time = process.tree.store.now() / SECOND;
    if address != 0 {
        program::write_words(process, address, &[time])?;
    }
    Ok(time)
}

/// Nanoseconds of a `struct timespec`.
pub fn duration(process: &mut Process, address: u64) -> Result {
    interval(process, address, 1)
}

/// Nanoseconds of a time at an address: seconds, and what is left in units of so many nanoseconds.
pub fn interval(process: &mut Process, address: u64, unit: u64) -> Result {
    let [seconds, rest] = program::read_words(process, address)?;
    if rest >= SECOND / unit || seconds > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    Ok(seconds.saturating_mul(SECOND).saturating_add(rest * unit))
}

/// Waits until the moment that `moment` tells when the call is made first. What is left when a signal comes before is written to `left`,
/// if that is an address.
fn sleep_until(process: &mut Process, left: u64, moment: impl FnOnce() -> u64) -> wait::Result {
    let deadline = process.threads.current.deadline(moment);
    let rest = deadline.saturating_sub(now());
    if rest == 0 {
        return Ok(0);
    }
    if left != 0 && delivery::is_interrupted(process) {
        program::write_words(process, left, &[rest / SECOND, rest % SECOND])?;
    }
    let mut wait = Wait::until(deadline);
    wait.interrupted = Interrupted::Fail;
    Err(wait.into())
}

pub fn sleep(process: &mut Process, [address, left, ..]: Arguments) -> wait::Result {
    let duration = duration(process, address)?;
    sleep_until(process, left, || now().saturating_add(duration))
}

pub fn sleep_on_clock(
    process: &mut Process,
    [clock, flags, address, left, ..]: Arguments,
) -> wait::Result {
    let time = duration(process, address)?;
    let current = read(process, clock)?;
    if flags as u32 & TIMER_ABSTIME != 0 {
        let rest = time.saturating_sub(current);
        return sleep_until(process, 0, || now().saturating_add(rest));
    }
    sleep_until(process, left, || now().saturating_add(time))
}

/// Lets the other threads have their turns, or other processes.
pub fn give_way(process: &mut Process, _: Arguments) -> Result {
    if !process.threads.run_queue.is_empty() {
        process.threads.give_turn();
    } else if exo_rt::wait::shares_vcpu() {
        exo_rt::wait::yield_now();
    }
    Ok(0)
}
