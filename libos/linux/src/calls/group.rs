//! Process groups and sessions.

use alloc::rc::Rc;

use super::Arguments;
use crate::errno::{Errno, Result};
use crate::family::{Member, State};
use crate::process::Process;

/// The process of a number, 0 for the caller.
fn named(process: &Process, number: u64) -> Result<Rc<Member>> {
    match number as u32 {
        0 => Ok(process.member.clone()),
        number => process.family.member(number).ok_or(Errno::ESRCH),
    }
}

pub fn group(process: &mut Process, _: Arguments) -> Result {
    Ok(u64::from(process.member.group.get()))
}

pub fn group_of(process: &mut Process, [number, ..]: Arguments) -> Result {
    Ok(u64::from(named(process, number)?.group.get()))
}

pub fn session_of(process: &mut Process, [number, ..]: Arguments) -> Result {
    Ok(u64::from(named(process, number)?.session.get()))
}

pub fn set_group(process: &mut Process, [number, group, ..]: Arguments) -> Result {
    if (group as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let own = &process.member;
    let member = named(process, number)?;
    let is_child = member.parent.get() == own.number;
    if member.number != own.number && !is_child {
        return Err(Errno::ESRCH);
    }
    if is_child && member.session.get() != own.session.get() {
        return Err(Errno::EPERM);
    }
    if is_child && member.has_executed.get() {
        return Err(Errno::EACCES);
    }
    if member.session.get() == member.number {
        return Err(Errno::EPERM);
    }
    let group = match group as u32 {
        0 => member.number,
        group => group,
    };
    let session = member.session.get();
    let is_there = group == member.number
        || process
            .family
            .members(|other| other.group.get() == group && other.session.get() == session)
            .iter()
            .any(|other| !matches!(other.state.get(), State::Ended(_)));
    if !is_there {
        return Err(Errno::EPERM);
    }
    member.group.set(group);
    Ok(0)
}

pub fn make_session(process: &mut Process, _: Arguments) -> Result {
    let own = &process.member;
    let leads = |member: &Member| member.group.get() == own.number;
    if !process.family.members(leads).is_empty() {
        return Err(Errno::EPERM);
    }
    own.session.set(own.number);
    own.group.set(own.number);
    Ok(u64::from(own.number))
}
