//! Timers of a process that send signals when they expire: those of `setitimer`, and those that it makes.

use alloc::collections::BTreeMap;

use linux_raw_sys::general::{SI_TIMER, SIGALRM, SIGPROF, SIGVTALRM};

use super::{Information, delivery};
use crate::calls;
use crate::process::Process;

/// Timers of `setitimer` have numbers from here on, by kind: a program's own ones are below.
const INTERVAL: u32 = 1 << 31;
/// Signals of the three kinds.
const INTERVAL_SIGNALS: [u32; 3] = [SIGALRM, SIGVTALRM, SIGPROF];
/// Most that a process makes.
pub const TIMERS_MAX: usize = 4096;

/// When a timer expires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The next moment, in nanoseconds of [`calls::now`]; 0: it does not run.
    pub next: u64,
    /// Nanoseconds between expirations; 0: there is only one.
    pub interval: u64,
}

/// What a timer does.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    /// Its clock.
    pub clock: u64,
    /// When.
    pub times: Times,
    /// What it sends; nothing where the signal is 0.
    pub information: Information,
    /// To this thread; else to the process.
    pub thread: Option<u32>,
    /// Expirations, beyond the first, of which the last signal told.
    pub overruns: u32,
}

/// All timers of a process.
#[derive(Debug, Default)]
pub struct Timers {
    all: BTreeMap<u32, Timer>,
}

impl Timers {
    /// Adds a timer; its number. `None`: there are too many.
    pub fn add(&mut self, timer: Timer) -> Option<u32> {
        if self.all.len() >= TIMERS_MAX {
            return None;
        }
        let number = (0..INTERVAL).find(|number| !self.all.contains_key(number))?;
        self.all.insert(number, timer);
        Some(number)
    }

    /// A timer that the process has made.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Timer> {
        let number = u32::try_from(number).ok()?;
        self.all.get_mut(&number).filter(|_| number < INTERVAL)
    }

    /// Forgets a timer; whether there was one.
    pub fn remove(&mut self, number: u64) -> bool {
        let number = u32::try_from(number).unwrap_or(INTERVAL);
        number < INTERVAL && self.all.remove(&number).is_some()
    }

    /// A timer of `setitimer`, by kind; `None`: there is no such kind.
    pub fn interval_timer(&mut self, kind: u64) -> Option<&mut Timer> {
        let kind = usize::try_from(kind).ok()?;
        let signal = *INTERVAL_SIGNALS.get(kind)?;
        Some(
            self.all
                .entry(INTERVAL + kind as u32)
                .or_insert_with(|| Timer {
                    clock: 0,
                    times: Times::default(),
                    information: Information::kernel(signal),
                    thread: None,
                    overruns: 0,
                }),
        )
    }

    /// When the first one expires.
    pub fn next(&self) -> Option<u64> {
        let moments = self.all.values().map(|timer| timer.times.next);
        moments.filter(|&next| next != 0).min()
    }

    /// Forgets those that `execve` ends: all but those of `setitimer`.
    pub fn keep_interval_timers(&mut self) {
        self.all.retain(|&number, _| number >= INTERVAL);
    }
}

impl Times {
    /// The interval, and nanoseconds until the next expiration.
    pub fn left(&self, now: u64) -> [u64; 2] {
        let left = match self.next {
            0 => 0,
            // One that is over, but was not told yet, still runs.
            next => next.saturating_sub(now).max(1),
        };
        [self.interval, left]
    }
}

/// Sends the signals of all timers that have expired.
pub fn expire(process: &mut Process) {
    if process.timers.all.is_empty() {
        return;
    }
    let now = calls::now();
    let mut due = alloc::vec::Vec::new();
    for (&number, timer) in &mut process.timers.all {
        let times = &mut timer.times;
        if times.next == 0 || times.next > now {
            continue;
        }
        let missed = (now - times.next)
            .checked_div(times.interval)
            .unwrap_or_default();
        times.next = match times.interval {
            0 => 0,
            interval => times.next + (missed + 1) * interval,
        };
        timer.overruns = u32::try_from(missed).unwrap_or(u32::MAX);
        if timer.information.code == SI_TIMER {
            timer.information.words[0] = u64::from(number) | u64::from(timer.overruns) << 32;
        }
        due.push((timer.thread, timer.information));
    }
    for (thread, information) in due {
        if information.signal != 0 {
            // A thread that has ended gets nothing.
            let _ = delivery::send(process, thread, information);
        }
    }
}
