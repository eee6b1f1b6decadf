//! Waiting until one of several files is ready: `poll`, `select` and `epoll`.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;

use linux_raw_sys::general::{
    EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, O_CLOEXEC, O_RDWR, POLLERR,
    POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI,
};

use super::{Arguments, now, program, signal, time};
use crate::errno::{Errno, Result};
use crate::files::asker::Asker;
use crate::files::descriptors::DESCRIPTORS_MAX;
use crate::files::epoll::Epoll;
use crate::files::node::Content;
use crate::files::open::OpenFile;
use crate::process::Process;
use crate::signal::delivery;
use crate::wait::{self, Interrupted, Wait};

/// Bytes of `struct epoll_event`, which is packed on x86-64.
const EVENT_BYTES: u64 = 12;

/// What a call waits for that found nothing ready.
struct Readiness {
    wait: Wait,
}

impl Readiness {
    fn new() -> Self {
        let wait = Wait {
            interrupted: Interrupted::Fail,
            ..Wait::default()
        };
        Self { wait }
    }

    /// Looks at a file: what is ready of `wanted`, and what always counts.
    fn look(&mut self, file: &OpenFile, asker: &Asker, wanted: u32) -> u32 {
        let ready = file.readiness(asker) & (wanted | POLLERR | POLLHUP);
        if ready == 0 {
            file.queues(asker, &mut self.wait.queues);
            self.wait_until(file.moment());
        }
        ready
    }

    fn wait_until(&mut self, moment: Option<u64>) {
        let both = self.wait.deadline.into_iter().chain(moment);
        self.wait.deadline = both.min();
    }

    /// Waits at most until `limit`; the answer when that has come.
    fn wait(mut self, limit: Option<u64>) -> wait::Result {
        if limit.is_some_and(|limit| limit <= now()) {
            return Ok(0);
        }
        // The limit has to survive, whichever deadline comes first.
        self.wait.moved = limit.unwrap_or(0);
        self.wait_until(limit);
        Err(self.wait.into())
    }
}

/// When a call with this timeout in nanoseconds gives up; the same each time that it is done again.
fn limit(process: &Process, timeout: Option<u64>) -> Option<u64> {
    let timeout = timeout?;
    let waited = process.threads.current.waited.map(|waited| waited.moved);
    Some(waited.unwrap_or_else(|| now().saturating_add(timeout)))
}

/// A timeout in milliseconds; below 0 there is none.
fn milliseconds(timeout: u64) -> Option<u64> {
    u64::try_from(timeout as i32)
        .ok()
        .map(|timeout| timeout * 1_000_000)
}

/// A timeout at an address; 0: there is none.
fn timeout_at(process: &mut Process, address: u64, unit: u64) -> Result<Option<u64>> {
    if address == 0 {
        return Ok(None);
    }
    time::interval(process, address, unit).map(Some)
}

pub fn poll(process: &mut Process, [address, entries, timeout, ..]: Arguments) -> wait::Result {
    poll_until(process, address, entries, milliseconds(timeout))
}

/// Has a call wait with the signal mask at an address, if one is given.
fn mask_signals(process: &mut Process, address: u64, size: u64) -> Result<()> {
    if address == 0 {
        return Ok(());
    }
    signal::check_size(size)?;
    let [mask] = program::read_words(process, address)?;
    delivery::change_mask(process, mask);
    Ok(())
}

pub fn poll_precisely(
    process: &mut Process,
    [address, entries, timeout, mask, size, _]: Arguments,
) -> wait::Result {
    mask_signals(process, mask, size)?;
    let timeout = timeout_at(process, timeout, 1)?;
    poll_until(process, address, entries, timeout)
}

fn poll_until(
    process: &mut Process,
    address: u64,
    entries: u64,
    timeout: Option<u64>,
) -> wait::Result {
    if entries > DESCRIPTORS_MAX as u64 {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = program::read(process, address, 8 * entries as usize)?;
    let asker = Asker::of(process);
    let mut readiness = Readiness::new();
    let mut ready = 0;
    for entry in bytes.chunks_exact_mut(8) {
        let (head, tail) = entry.split_at_mut(6);
        let word = u64::from_le_bytes([head[0], head[1], head[2], head[3], head[4], head[5], 0, 0]);
        let (number, events) = (word as u32, (word >> 32) as u32);
        let found = match process.descriptors.file(u64::from(number)) {
            _ if (number as i32) < 0 => 0,
            Ok(file) => readiness.look(file, &asker, events),
            Err(_) => POLLNVAL,
        };
        ready += u64::from(found != 0);
        tail.copy_from_slice(&(found as u16).to_le_bytes());
    }
    program::write(process, address, &bytes)?;
    if ready != 0 {
        return Ok(ready);
    }
    readiness.wait(limit(process, timeout))
}

pub fn select(process: &mut Process, arguments: Arguments) -> wait::Result {
    let timeout = timeout_at(process, arguments[4], 1000)?;
    select_until(process, arguments, timeout)
}

pub fn select_precisely(process: &mut Process, arguments: Arguments) -> wait::Result {
    if arguments[5] != 0 {
        let [mask, size] = program::read_words(process, arguments[5])?;
        mask_signals(process, mask, size)?;
    }
    let timeout = timeout_at(process, arguments[4], 1)?;
    select_until(process, arguments, timeout)
}

fn select_until(
    process: &mut Process,
    [count, reads, writes, exceptions, ..]: Arguments,
    timeout: Option<u64>,
) -> wait::Result {
    const SETS: [u32; 3] = [POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI];
    let count = usize::try_from(count as i32).map_err(|_| Errno::EINVAL)?;
    let bytes = count.min(DESCRIPTORS_MAX).div_ceil(64) * 8;
    let addresses = [reads, writes, exceptions];
    let mut wanted = [const { Vec::new() }; 3];
    for (set, &address) in wanted.iter_mut().zip(&addresses) {
        *set = match address {
            0 => vec![0; bytes],
            _ => program::read(process, address, bytes)?,
        };
    }
    let has = |set: &[u8], number: usize| {
        let byte = set.get(number / 8).copied();
        byte.is_some_and(|byte| byte >> (number % 8) & 1 != 0)
    };
    let mut found = [(); 3].map(|()| vec![0u8; bytes]);
    let asker = Asker::of(process);
    let mut readiness = Readiness::new();
    let mut ready = 0;
    for number in 0..count.min(DESCRIPTORS_MAX) {
        if !wanted.iter().any(|set| has(set, number)) {
            continue;
        }
        let file = process.descriptors.file(number as u64)?;
        let mut bits = 0;
        for (set, events) in wanted.iter().zip(SETS) {
            if has(set, number) {
                bits |= events;
            }
        }
        let state = readiness.look(file, &asker, bits);
        for ((set, found), events) in wanted.iter().zip(&mut found).zip(SETS) {
            if has(set, number)
                && state & events != 0
                && let Some(byte) = found.get_mut(number / 8)
            {
                *byte |= 1 << (number % 8);
                ready += 1;
            }
        }
    }
    let limit = limit(process, timeout);
    if ready == 0 && limit.is_none_or(|limit| limit > now()) {
        return readiness.wait(limit);
    }
    for (set, &address) in found.iter().zip(&addresses) {
        if address != 0 {
            program::write(process, address, set)?;
        }
    }
    Ok(ready)
}

pub fn create_set(process: &mut Process, [size, ..]: Arguments) -> Result {
    if size as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    create_set_with_flags(process, [0; 6])
}

pub fn create_set_with_flags(process: &mut Process, [flags, ..]: Arguments) -> Result {
    let flags = flags as u32;
    if flags & !EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    super::add_file(
        process,
        Content::Epoll(Epoll::default()),
        O_RDWR,
        flags & O_CLOEXEC,
    )
}

/// The open file behind a descriptor, if it is a set.
fn set(process: &Process, number: u64) -> Result<Rc<OpenFile>> {
    let file = process.descriptors.file(number)?;
    file.epoll().map(|_| file.clone()).ok_or(Errno::EINVAL)
}

pub fn change_set(process: &mut Process, [set, change, number, event, ..]: Arguments) -> Result {
    let (events, data) = match change as u32 {
        EPOLL_CTL_DEL => (0, 0),
        _ => {
            let bytes = program::read(process, event, EVENT_BYTES as usize)?;
            let (events, data) = bytes.split_at(4);
            let events = events.try_into().map(u32::from_le_bytes);
            let data = data.try_into().map(u64::from_le_bytes);
            (events.unwrap_or(0), data.unwrap_or(0))
        }
    };
    let file = process.descriptors.file(number)?.clone();
    let set = self::set(process, set)?;
    let epoll = set.epoll().ok_or(Errno::EINVAL)?;
    match change as u32 {
        EPOLL_CTL_ADD => epoll.add(number, &file, events, data)?,
        EPOLL_CTL_MOD => epoll.modify(number, &file, events, data)?,
        EPOLL_CTL_DEL => epoll.remove(number, &file)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

pub fn wait_for_set(
    process: &mut Process,
    [set, address, count, timeout, ..]: Arguments,
) -> wait::Result {
    wait_until(process, set, address, count, milliseconds(timeout))
}

pub fn wait_for_set_masked(
    process: &mut Process,
    [set, address, count, timeout, mask, size]: Arguments,
) -> wait::Result {
    mask_signals(process, mask, size)?;
    wait_until(process, set, address, count, milliseconds(timeout))
}

pub fn wait_for_set_precisely(
    process: &mut Process,
    [set, address, count, timeout, mask, size]: Arguments,
) -> wait::Result {
    mask_signals(process, mask, size)?;
    let timeout = timeout_at(process, timeout, 1)?;
    wait_until(process, set, address, count, timeout)
}

fn wait_until(
    process: &mut Process,
    set: u64,
    address: u64,
    count: u64,
    timeout: Option<u64>,
) -> wait::Result {
    let count = usize::try_from(count as i32)
        .ok()
        .filter(|&count| count != 0);
    let count = count.ok_or(Errno::EINVAL)?;
    let set = self::set(process, set)?;
    let epoll = set.epoll().ok_or(Errno::EINVAL)?;
    program::check(address, EVENT_BYTES * count as u64)?;
    let asker = Asker::of(process);
    let events = epoll.take(&asker, count);
    if events.is_empty() {
        let mut readiness = Readiness::new();
        epoll.queues(&asker, &mut readiness.wait.queues);
        readiness.wait_until(epoll.moment());
        return readiness.wait(limit(process, timeout));
    }
    let mut bytes = Vec::new();
    for (events, data) in &events {
        bytes.extend(events.to_le_bytes());
        bytes.extend(data.to_le_bytes());
    }
    program::write(process, address, &bytes)?;
    Ok(events.len() as u64)
}
