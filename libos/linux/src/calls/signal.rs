//! Signals: what the program wants of them, sending, and waiting for them.

use linux_raw_sys::general::{
    MINSIGSTKSZ, SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGSEGV, SS_AUTODISARM, SS_DISABLE,
    SS_ONSTACK,
};

use super::{Arguments, program, time};
use crate::errno::{Errno, Result};
use crate::family::{Letter, Member};
use crate::process::{FIRST, Process};
use crate::signal::delivery::{self, change_mask, send};
use crate::signal::state::{Action, AlternateStack};
use crate::signal::{Information, UNBLOCKABLE, bit, frame, number};
use crate::wait::{self, Interrupted, Wait};

/// Bytes of a set of signals.
const SET_BYTES: u64 = 8;

pub fn check_size(bytes: u64) -> Result<()> {
    match bytes {
        SET_BYTES => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

pub fn set_action(process: &mut Process, [signal, new, old, size, ..]: Arguments) -> Result {
    check_size(size)?;
    let signal = number(signal).ok_or(Errno::EINVAL)?;
    let before = process.signals.action(signal);
    let wanted = match new {
        0 => None,
        _ => {
            let [handler, flags, restorer, mask] = program::read_words(process, new)?;
            Some(Action {
                handler,
                flags,
                restorer,
                mask,
            })
        }
    };
    if wanted.is_some() && UNBLOCKABLE & bit(signal) != 0 {
        return Err(Errno::EINVAL);
    }
    if old != 0 {
        let words = [before.handler, before.flags, before.restorer, before.mask];
        program::write_words(process, old, &words)?;
    }
    if let Some(action) = wanted {
        process.signals.set_action(signal, action);
        if action.ignores(signal) {
            process.signals.pending.drop_all(bit(signal));
            let threads = &mut process.threads;
            threads.current.signals.pending.drop_all(bit(signal));
            for thread in threads.others.values_mut() {
                thread.signals.pending.drop_all(bit(signal));
            }
        }
    }
    Ok(0)
}

pub fn set_mask(process: &mut Process, [how, new, old, size, ..]: Arguments) -> Result {
    check_size(size)?;
    let before = process.threads.current.signals.mask;
    let wanted = match new {
        0 => before,
        _ => {
            let [set] = program::read_words(process, new)?;
            match how as u32 {
                SIG_BLOCK => before | set,
                SIG_UNBLOCK => before & !set,
                SIG_SETMASK => set,
                _ => return Err(Errno::EINVAL),
            }
        }
    };
    if old != 0 {
        program::write_words(process, old, &[before])?;
    }
    process.threads.current.signals.mask = wanted & !UNBLOCKABLE;
    delivery::look_again(process);
    Ok(0)
}

pub fn set_stack(process: &mut Process, [new, old, ..]: Arguments) -> Result {
    let thread = &process.threads.current;
    let pointer = thread.context.registers.rsp;
    let before = thread.signals.stack;
    let wanted = match new {
        0 => None,
        _ => Some(read_stack(process, new)?),
    };
    if wanted.is_some() && before.is_used(pointer) {
        return Err(Errno::EPERM);
    }
    if old != 0 {
        program::write_words(process, old, &before.encode(pointer))?;
    }
    if let Some(stack) = wanted {
        process.threads.current.signals.stack = stack;
    }
    Ok(0)
}

fn read_stack(process: &mut Process, address: u64) -> Result<AlternateStack> {
    let [start, flags, bytes] = program::read_words(process, address)?;
    let flags = flags as u32;
    match flags & !SS_AUTODISARM {
        SS_DISABLE => Ok(AlternateStack::NONE),
        0 | SS_ONSTACK if bytes < u64::from(MINSIGSTKSZ) => Err(Errno::ENOMEM),
        0 | SS_ONSTACK => Ok(AlternateStack {
            start,
            flags: flags & SS_AUTODISARM,
            bytes,
        }),
        _ => Err(Errno::EINVAL),
    }
}

/// The end of a handler. A frame that is none ends the process, as there is nowhere to go on.
pub fn return_from_handler(process: &mut Process, _: Arguments) -> Result {
    if frame::leave(process).is_err() {
        delivery::force(process, Information::kernel(SIGSEGV));
    }
    delivery::look_again(process);
    Ok(process.threads.current.context.registers.rax)
}

pub fn pending(process: &mut Process, [address, size, ..]: Arguments) -> Result {
    if size > SET_BYTES {
        return Err(Errno::EINVAL);
    }
    let signals = &process.threads.current.signals;
    let pending = process.signals.pending.set() | signals.pending.set();
    let blocked = pending & signals.mask;
    program::write_words(process, address, &[blocked])?;
    Ok(0)
}

/// Nothing but a signal ends this.
fn wait_for_signal() -> wait::Result {
    let wait = Wait {
        interrupted: Interrupted::Fail,
        ..Wait::default()
    };
    Err(wait.into())
}

pub fn suspend(process: &mut Process, [address, size, ..]: Arguments) -> wait::Result {
    check_size(size)?;
    if process.threads.current.signals.mask_before.is_none() {
        let [mask] = program::read_words(process, address)?;
        change_mask(process, mask);
    }
    wait_for_signal()
}

pub fn pause(_: &mut Process, _: Arguments) -> wait::Result {
    wait_for_signal()
}

/// Takes a signal that is blocked, without a handler.
pub fn wait_timed(
    process: &mut Process,
    [set, information, timeout, size, ..]: Arguments,
) -> wait::Result {
    check_size(size)?;
    let [wanted] = program::read_words(process, set)?;
    let wanted = wanted & !UNBLOCKABLE;
    let deadline = match (process.threads.current.waited, timeout) {
        (Some(waited), _) => waited.deadline,
        (None, 0) => None,
        (None, timeout) => Some(time::now().saturating_add(time::duration(process, timeout)?)),
    };
    let own = &mut process.threads.current.signals.pending;
    let found = own
        .take(wanted)
        .or_else(|| process.signals.pending.take(wanted));
    if let Some(found) = found {
        if information != 0 {
            program::write(process, information, &found.encode())?;
        }
        return Ok(u64::from(found.signal));
    }
    if deadline.is_some_and(|deadline| time::now() >= deadline) {
        return Err(Errno::EAGAIN.into());
    }
    let mut wait = Wait::queue(&process.threads.signal_queue);
    wait.deadline = deadline;
    wait.interrupted = Interrupted::Fail;
    Err(wait.into())
}

/// A signal of which the number may be 0: then it is only looked whether it could be sent.
fn checked(signal: u64) -> Result<Option<u32>> {
    match signal as u32 {
        0 => Ok(None),
        _ => number(signal).map(Some).ok_or(Errno::EINVAL),
    }
}

/// Sends a signal to this process or another.
fn tell(
    process: &mut Process,
    member: &Member,
    thread: Option<u32>,
    information: Information,
) -> Result<()> {
    if member.number == process.member.number {
        return send(process, thread, information);
    }
    member.send(Letter {
        thread,
        information,
    });
    Ok(())
}

pub fn kill(process: &mut Process, [target, signal, ..]: Arguments) -> Result {
    let own = process.member.number;
    let group = process.member.group.get();
    let target = target as i32;
    let chosen = |member: &Member| match target {
        0 => member.group.get() == group,
        -1 => member.number != FIRST && member.number != own,
        ..0 => member.group.get() == target.unsigned_abs(),
        _ => member.number == target.unsigned_abs(),
    };
    let members = process.family.members(chosen);
    if members.is_empty() {
        return Err(Errno::ESRCH);
    }
    let Some(signal) = checked(signal)? else {
        return Ok(0);
    };
    let information = Information::user(signal, own, false);
    for member in members {
        tell(process, &member, None, information)?;
    }
    Ok(0)
}

/// Sends a signal to one thread of this process, or to the first of another.
fn tell_thread(
    process: &mut Process,
    thread: u64,
    signal: u64,
    information: impl FnOnce(u32) -> Information,
) -> Result {
    let thread = thread as u32;
    if thread.cast_signed() <= 0 {
        return Err(Errno::EINVAL);
    }
    let is_own = process.threads.get_mut(thread).is_some();
    let member = match is_own {
        true => process.member.clone(),
        false => process.family.member(thread).ok_or(Errno::ESRCH)?,
    };
    if let Some(signal) = checked(signal)? {
        tell(process, &member, Some(thread), information(signal))?;
    }
    Ok(0)
}

pub fn kill_thread(process: &mut Process, [thread, signal, ..]: Arguments) -> Result {
    let own = process.member.number;
    tell_thread(process, thread, signal, |signal| {
        Information::user(signal, own, true)
    })
}

pub fn kill_thread_of(process: &mut Process, [group, thread, signal, ..]: Arguments) -> Result {
    check_group(process, group, thread)?;
    kill_thread(process, [thread, signal, 0, 0, 0, 0])
}

/// Whether a thread is, or may be, one of a process.
fn check_group(process: &mut Process, group: u64, thread: u64) -> Result<()> {
    let (group, thread) = (group as u32, thread as u32);
    if group.cast_signed() <= 0 || thread.cast_signed() <= 0 {
        return Err(Errno::EINVAL);
    }
    let is_there = match group == process.member.number {
        true => process.threads.get_mut(thread).is_some(),
        false => group == thread,
    };
    match is_there {
        true => Ok(()),
        false => Err(Errno::ESRCH),
    }
}

pub fn queue_to_process(process: &mut Process, [target, signal, address, ..]: Arguments) -> Result {
    let words = program::read_words(process, address)?;
    let member = process.family.member(target as u32).ok_or(Errno::ESRCH)?;
    if let Some(signal) = checked(signal)? {
        tell(process, &member, None, Information::decode(signal, words))?;
    }
    Ok(0)
}

pub fn queue_to_thread(
    process: &mut Process,
    [group, thread, signal, address, ..]: Arguments,
) -> Result {
    let words = program::read_words(process, address)?;
    check_group(process, group, thread)?;
    tell_thread(process, thread, signal, |signal| {
        Information::decode(signal, words)
    })
}
