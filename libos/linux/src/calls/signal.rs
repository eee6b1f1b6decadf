//! Signals: what the program wants of them, and those that end it.

use linux_raw_sys::general::{SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK};

use super::{Arguments, process, program};
use crate::errno::{Errno, Result};
use crate::family::Ending;
use crate::process::{Process, SIGNALS};
use crate::wait;

fn index(signal: u64) -> Result<usize> {
    usize::try_from(signal)
        .ok()
        .and_then(|signal| signal.checked_sub(1))
        .filter(|&index| index < SIGNALS)
        .ok_or(Errno::EINVAL)
}

pub fn set_action(process: &mut Process, [signal, new, old, size, ..]: Arguments) -> Result {
    let index = index(signal)?;
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    let before = process.signal_actions.get(index).copied();
    let before = before.ok_or(Errno::EINVAL)?;
    let wanted = match new {
        0 => before,
        _ => program::read_words(process, new)?,
    };
    if old != 0 {
        program::write_words(process, old, &before)?;
    }
    if let Some(action) = process.signal_actions.get_mut(index) {
        *action = wanted;
    }
    Ok(0)
}

pub fn set_mask(process: &mut Process, [how, new, old, size, ..]: Arguments) -> Result {
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    let before = process.signal_mask;
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
    process.signal_mask = wanted;
    Ok(0)
}

/// Handlers do not run yet, so neither does their stack matter.
pub fn set_stack(process: &mut Process, [_, old, ..]: Arguments) -> Result {
    const DISABLED: u64 = 2;
    if old != 0 {
        program::write_words(process, old, &[0, DISABLED, 0])?;
    }
    Ok(0)
}

pub fn kill(process: &mut Process, [target, signal, ..]: Arguments) -> wait::Result {
    if target != u64::from(process.member.number) {
        return Err(Errno::ESRCH.into());
    }
    if signal == 0 {
        return Ok(0);
    }
    index(signal)?;
    Err(process::end(process, Ending::Killed(signal as u8)))
}

pub fn kill_thread(process: &mut Process, [_, thread, signal, ..]: Arguments) -> wait::Result {
    kill(process, [thread, signal, 0, 0, 0, 0])
}
