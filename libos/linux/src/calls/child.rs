//! Children: making them, and learning how they ended.

use alloc::rc::Rc;

use linux_raw_sys::general::{
    P_ALL, P_PGID, P_PID, SIGCHLD, SIGCONT, WCONTINUED, WEXITED, WNOHANG, WNOWAIT, WSTOPPED,
    WUNTRACED,
};

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::family::{CLD_CONTINUED, CLD_STOPPED, Member, State};
use crate::fork::Wanted;
use crate::process::Process;
use crate::signal::{INFORMATION_BYTES, Information};
use crate::usage::words;
use crate::wait::{self, Wait};

/// The status of a process that goes on, as `wait4` tells it.
const CONTINUED_STATUS: u32 = 0xffff;
/// Options that make no difference here: every child is one of its process.
const EVERY_KIND: u32 = 0xe000_0000;

/// A process as `fork` makes it.
const PLAIN: Wanted = Wanted {
    end_signal: SIGCHLD as u8,
    stack: 0,
    storage: None,
    number_address: 0,
    clear_address: 0,
};

pub fn fork(process: &mut Process, _: Arguments) -> Result {
    Ok(u64::from(process.fork(&PLAIN)?.number))
}

/// The child gets a copy of the memory, as POSIX allows; its maker waits until it has no use for that any more.
pub fn vfork(process: &mut Process, _: Arguments) -> wait::Result {
    fork_and_wait(process, &PLAIN)
}

/// Forks, and waits until the child executes a program or ends.
pub fn fork_and_wait(process: &mut Process, wanted: &Wanted) -> wait::Result {
    let number = match process.threads.current.waited {
        Some(waited) => waited.moved as u32,
        None => process.fork(wanted)?.number,
    };
    match process.family.member(number) {
        Some(member)
            if !member.has_executed.get() && !matches!(member.state.get(), State::Ended(_)) =>
        {
            let mut wait = Wait::queue(&member.progress);
            wait.moved = u64::from(number);
            Err(wait.into())
        }
        _ => Ok(u64::from(number)),
    }
}

/// Which children a call is about.
#[derive(Clone, Copy)]
enum Chosen {
    All,
    Process(u32),
    Group(u32),
}

impl Chosen {
    fn has(self, member: &Member) -> bool {
        match self {
            Self::All => true,
            Self::Process(number) => member.number == number,
            Self::Group(number) => member.group.get() == number,
        }
    }
}

/// A child that has changed as `options` want to know, if there is one. What was told is not told again, unless `options` say so.
fn changed(process: &Process, chosen: Chosen, options: u32) -> Result<Option<(Rc<Member>, State)>> {
    let own = process.member.number;
    let children = process
        .family
        .members(|member| member.parent.get() == own && chosen.has(member));
    if children.is_empty() {
        return Err(Errno::ECHILD);
    }
    let wanted = |state| match state {
        State::Ended(_) => options & WEXITED != 0,
        State::Stopped { is_told, .. } => !is_told && options & WSTOPPED != 0,
        State::Continued => options & WCONTINUED != 0,
        State::Runs => false,
    };
    let found = children.into_iter().find(|child| wanted(child.state.get()));
    let Some(child) = found else {
        return Ok(None);
    };
    let state = child.state.get();
    if options & WNOWAIT == 0 {
        match state {
            State::Ended(_) => {
                process.family.remove(child.number);
                let children = &process.usage.children;
                children.set(children.get() + child.used.get());
            }
            State::Stopped { signal, .. } => child.state.set(State::Stopped {
                signal,
                is_told: true,
            }),
            State::Continued | State::Runs => child.state.set(State::Runs),
        }
    }
    Ok(Some((child, state)))
}

pub fn wait4(
    process: &mut Process,
    [number, status, options, usage, ..]: Arguments,
) -> wait::Result {
    let options = options as u32;
    if options & !(WNOHANG | WUNTRACED | WCONTINUED | EVERY_KIND) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let chosen = match number as i32 {
        -1 => Chosen::All,
        0 => Chosen::Group(process.member.group.get()),
        number if number < 0 => Chosen::Group(number.unsigned_abs()),
        number => Chosen::Process(number.unsigned_abs()),
    };
    let Some((child, state)) = changed(process, chosen, options | WEXITED)? else {
        if options & WNOHANG != 0 {
            return Ok(0);
        }
        return Err(Wait::queue(&process.member.children).into());
    };
    let word = match state {
        State::Ended(ending) => ending.wait_status(),
        State::Stopped { signal, .. } => u32::from(signal) << 8 | 0x7f,
        State::Continued | State::Runs => CONTINUED_STATUS,
    };
    if status != 0 {
        program::write(process, status, &word.to_le_bytes())?;
    }
    if usage != 0 {
        program::write_words(process, usage, &words(child.used.get()))?;
    }
    Ok(u64::from(child.number))
}

pub fn waitid(
    process: &mut Process,
    [kind, number, place, options, usage, _]: Arguments,
) -> wait::Result {
    let options = options as u32;
    let known = WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | EVERY_KIND;
    if options & !known != 0 || options & (WEXITED | WSTOPPED | WCONTINUED) == 0 {
        return Err(Errno::EINVAL.into());
    }
    let chosen = match kind as u32 {
        P_ALL => Chosen::All,
        P_PID => Chosen::Process(number as u32),
        P_PGID if number == 0 => Chosen::Group(process.member.group.get()),
        P_PGID => Chosen::Group(number as u32),
        _ => return Err(Errno::EINVAL.into()),
    };
    let mut information = [0; INFORMATION_BYTES];
    let mut used = 0;
    match changed(process, chosen, options)? {
        Some((child, state)) => {
            let (code, status) = match state {
                State::Ended(ending) => ending.code(),
                State::Stopped { signal, .. } => (CLD_STOPPED, signal),
                State::Continued | State::Runs => (CLD_CONTINUED, SIGCONT as u8),
            };
            used = child.used.get();
            information = Information::child(code, child.number, u32::from(status)).encode();
        }
        None if options & WNOHANG == 0 => {
            return Err(Wait::queue(&process.member.children).into());
        }
        None => {}
    }
    if place != 0 {
        program::write(process, place, &information)?;
    }
    if usage != 0 {
        program::write_words(process, usage, &words(used))?;
    }
    Ok(0)
}
