//! Timers that send signals.

use linux_raw_sys::general::{
    ITIMER_REAL, SI_TIMER, SIGALRM, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD_ID, TIMER_ABSTIME,
};

use super::time::{SECOND, interval, now, read};
use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::process::Process;
use crate::signal::timers::{Timer, Times};
use crate::signal::{Information, number};

/// Nanoseconds of a microsecond.
const MICROSECOND: u64 = 1000;

/// Two times as a program has them: interval and value, each of seconds and of units of so many nanoseconds.
fn encode(times: [u64; 2], unit: u64) -> [u64; 4] {
    let [interval, left] = times;
    [
        interval / SECOND,
        interval % SECOND / unit,
        left / SECOND,
        left % SECOND / unit,
    ]
}

/// Has the dispatcher look at the timers before the program goes on.
fn look_again(process: &Process) {
    process.threads.run_queue.attention.set(true);
}

fn interval_timer(process: &mut Process, kind: u64) -> Result<&mut Timer> {
    process
        .timers
        .interval_timer(kind as u32 as u64)
        .ok_or(Errno::EINVAL)
}

pub fn alarm(process: &mut Process, [seconds, ..]: Arguments) -> Result {
    let current = now();
    let timer = interval_timer(process, ITIMER_REAL.into())?;
    let [_, left] = timer.times.left(current);
    timer.times = Times {
        next: match seconds as u32 {
            0 => 0,
            seconds => current + u64::from(seconds) * SECOND,
        },
        interval: 0,
    };
    look_again(process);
    // Rounded, but what is set is never told as nothing.
    Ok(match left {
        0 => 0,
        left => ((left + SECOND / 2) / SECOND).max(1),
    })
}

pub fn set_interval(process: &mut Process, [kind, new, old, ..]: Arguments) -> Result {
    let current = now();
    let before = interval_timer(process, kind)?.times;
    let mut wanted = Times::default();
    if new != 0 {
        wanted.interval = interval(process, new, MICROSECOND)?;
        let left = interval(process, new.wrapping_add(16), MICROSECOND)?;
        wanted.next = match left {
            0 => 0,
            left => current.saturating_add(left),
        };
    }
    if old != 0 {
        let words = encode(before.left(current), MICROSECOND);
        program::write_words(process, old, &words)?;
    }
    interval_timer(process, kind)?.times = wanted;
    look_again(process);
    Ok(0)
}

pub fn interval_left(process: &mut Process, [kind, address, ..]: Arguments) -> Result {
    let times = interval_timer(process, kind)?.times;
    let words = encode(times.left(now()), MICROSECOND);
    program::write_words(process, address, &words)?;
    Ok(0)
}

pub fn create(process: &mut Process, [clock, event, address, ..]: Arguments) -> Result {
    read(process, clock)?;
    let mut timer = Timer {
        clock,
        times: Times::default(),
        information: Information {
            code: SI_TIMER,
            ..Information::kernel(SIGALRM)
        },
        thread: None,
        overruns: 0,
    };
    if event != 0 {
        // Value; signal and way; thread.
        let [value, how, thread] = program::read_words(process, event)?;
        timer.information.words[1] = value;
        let signal = number(how & 0xffff_ffff);
        match (how >> 32) as u32 {
            SIGEV_NONE => timer.information.signal = 0,
            way @ (SIGEV_SIGNAL | SIGEV_THREAD_ID) => {
                timer.information.signal = signal.ok_or(Errno::EINVAL)?;
                if way == SIGEV_THREAD_ID {
                    let thread = thread as u32;
                    process.threads.get_mut(thread).ok_or(Errno::EINVAL)?;
                    timer.thread = Some(thread);
                }
            }
            _ => return Err(Errno::EINVAL),
        }
    }
    let number = process.timers.add(timer).ok_or(Errno::EAGAIN)?;
    if event == 0
        && let Some(timer) = process.timers.get_mut(number.into())
    {
        timer.information.words[1] = number.into();
    }
    let written = program::write(process, address, &number.to_le_bytes());
    if written.is_err() {
        process.timers.remove(number.into());
    }
    written.map(|()| 0)
}

fn timer(process: &mut Process, number: u64) -> Result<&mut Timer> {
    let number = number as u32;
    process.timers.get_mut(number.into()).ok_or(Errno::EINVAL)
}

pub fn set(process: &mut Process, [number, flags, new, old, ..]: Arguments) -> Result {
    let Timer { clock, times, .. } = *timer(process, number)?;
    let current = now();
    let mut wanted = Times {
        interval: interval(process, new, 1)?,
        next: interval(process, new.wrapping_add(16), 1)?,
    };
    if wanted.next != 0 {
        wanted.next = match flags as u32 & TIMER_ABSTIME {
            0 => current.saturating_add(wanted.next),
            _ => current + wanted.next.saturating_sub(read(process, clock)?),
        };
    }
    if old != 0 {
        program::write_words(process, old, &encode(times.left(current), 1))?;
    }
    timer(process, number)?.times = wanted;
    look_again(process);
    Ok(0)
}

pub fn left(process: &mut Process, [number, address, ..]: Arguments) -> Result {
    let times = timer(process, number)?.times;
    program::write_words(process, address, &encode(times.left(now()), 1))?;
    Ok(0)
}

pub fn overruns(process: &mut Process, [number, ..]: Arguments) -> Result {
    timer(process, number).map(|timer| timer.overruns.into())
}

pub fn delete(process: &mut Process, [number, ..]: Arguments) -> Result {
    match process.timers.remove(number as u32 as u64) {
        true => Ok(0),
        false => Err(Errno::EINVAL),
    }
}
