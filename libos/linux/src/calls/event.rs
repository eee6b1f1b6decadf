//! Files that tell of events: counters and timers.

use linux_raw_sys::general::{
    CLOCK_BOOTTIME, CLOCK_MONOTONIC, CLOCK_REALTIME, EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE,
    O_CLOEXEC, O_NONBLOCK, O_RDWR, TFD_CLOEXEC, TFD_NONBLOCK, TFD_TIMER_ABSTIME,
    TFD_TIMER_CANCEL_ON_SET,
};

use super::time::{self, SECOND};
use super::{Arguments, add_file, now, program, signal};
use crate::errno::{Errno, Result};
use crate::files::counter::Counter;
use crate::files::node::Content;
use crate::files::signals::Signals;
use crate::files::timer::Timer;
use crate::process::Process;

pub fn make_counter(process: &mut Process, [value, ..]: Arguments) -> Result {
    make_counter_with_flags(process, [value, 0, 0, 0, 0, 0])
}

pub fn make_counter_with_flags(process: &mut Process, [value, flags, ..]: Arguments) -> Result {
    let flags = flags as u32;
    if flags & !(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE) != 0 {
        return Err(Errno::EINVAL);
    }
    let counter = Counter::new(u64::from(value as u32), flags & EFD_SEMAPHORE != 0);
    let mode = O_RDWR | flags & O_NONBLOCK;
    add_file(process, Content::Counter(counter), mode, flags & O_CLOEXEC)
}

pub fn make_timer(process: &mut Process, [clock, flags, ..]: Arguments) -> Result {
    let flags = flags as u32;
    if flags & !(TFD_CLOEXEC | TFD_NONBLOCK) != 0
        || !matches!(
            clock as u32,
            CLOCK_REALTIME | CLOCK_MONOTONIC | CLOCK_BOOTTIME
        )
    {
        return Err(Errno::EINVAL);
    }
    let mode = O_RDWR | flags & O_NONBLOCK;
    let content = Content::Timer(Timer::new(clock));
    add_file(process, content, mode, flags & O_CLOEXEC)
}

pub fn watch_signals(process: &mut Process, [number, set, size, ..]: Arguments) -> Result {
    watch_signals_with_flags(process, [number, set, size, 0, 0, 0])
}

pub fn watch_signals_with_flags(
    process: &mut Process,
    [number, set, size, flags, ..]: Arguments,
) -> Result {
    let flags = flags as u32;
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    signal::check_size(size)?;
    let [set] = program::read_words(process, set)?;
    if number as i32 == -1 {
        let content = Content::Signals(Signals::new(set));
        return add_file(
            process,
            content,
            O_RDWR | flags & O_NONBLOCK,
            flags & O_CLOEXEC,
        );
    }
    match &process.descriptors.file(number)?.node.content {
        Content::Signals(signals) => signals.set(set),
        _ => return Err(Errno::EINVAL),
    }
    // Some may be pending already.
    process.threads.signal_queue.wake_all();
    Ok(u64::from(number as u32))
}

/// Writes a `struct itimerspec` of nanoseconds.
fn write_remaining(process: &mut Process, address: u64, [interval, left]: [u64; 2]) -> Result<()> {
    let words = [
        interval / SECOND,
        interval % SECOND,
        left / SECOND,
        left % SECOND,
    ];
    program::write_words(process, address, &words)
}

pub fn set_timer(process: &mut Process, [number, flags, new, old, ..]: Arguments) -> Result {
    let flags = flags as u32;
    if flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let file = process.descriptors.file(number)?.clone();
    let Content::Timer(timer) = &file.node.content else {
        return Err(Errno::EINVAL);
    };
    let interval = time::interval(process, new, 1)?;
    let first = time::interval(process, new.wrapping_add(16), 1)?;
    if old != 0 {
        write_remaining(process, old, timer.remaining())?;
    }
    let next = match first {
        0 => 0,
        _ if flags & TFD_TIMER_ABSTIME != 0 => {
            let offset = time::read(process, timer.clock)? - now();
            first.saturating_sub(offset).max(1)
        }
        _ => now().saturating_add(first),
    };
    timer.set(next, interval);
    Ok(0)
}

pub fn timer(process: &mut Process, [number, address, ..]: Arguments) -> Result {
    let file = process.descriptors.file(number)?.clone();
    let Content::Timer(timer) = &file.node.content else {
        return Err(Errno::EINVAL);
    };
    write_remaining(process, address, timer.remaining())?;
    Ok(0)
}
