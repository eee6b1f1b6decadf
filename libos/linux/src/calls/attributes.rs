//! Calls that change what is known of a file: permissions, owner, times, size.

use alloc::rc::Rc;

use linux_raw_sys::general::{AT_SYMLINK_NOFOLLOW, UTIME_NOW, UTIME_OMIT};

use super::path::{WORKING, find, look_up};
use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::files::credentials::WRITE;
use crate::files::node::{Attributes, Content, Node};
use crate::process::Process;

/// Mode bits that run a file as its owner or group: they go when those change.
const SET_IDS: u32 = 0o6000;
/// An owner or group that stays as it is.
const UNCHANGED: u32 = u32::MAX;

fn open_node(process: &Process, number: u64) -> Result<Rc<Node>> {
    Ok(process.descriptors.file(number)?.node.clone())
}

fn set_mode(process: &Process, node: &Node, mode: u64) -> Result {
    process.credentials.check_owner(node)?;
    if matches!(node.content, Content::Link(_)) {
        return Err(Errno::EOPNOTSUPP);
    }
    let attributes = node.attributes.get();
    node.attributes.set(Attributes {
        mode: mode as u32 & 0o7777,
        ..attributes
    });
    node.changed.set(process.tree.store.now());
    Ok(0)
}

pub fn change_mode(process: &mut Process, [path, mode, ..]: Arguments) -> Result {
    change_mode_at(process, [WORKING, path, mode, 0, 0, 0])
}

pub fn change_mode_at(process: &mut Process, [from, path, mode, ..]: Arguments) -> Result {
    let node = find(process, from, path, 0)?;
    set_mode(process, &node, mode)
}

pub fn change_mode_at_with_flags(
    process: &mut Process,
    [from, path, mode, flags, ..]: Arguments,
) -> Result {
    let node = find(process, from, path, flags)?;
    set_mode(process, &node, mode)
}

pub fn change_mode_open(process: &mut Process, [number, mode, ..]: Arguments) -> Result {
    let node = open_node(process, number)?;
    set_mode(process, &node, mode)
}

fn set_owner(process: &Process, node: &Node, user: u64, group: u64) -> Result {
    let attributes = node.attributes.get();
    let (user, group) = (user as u32, group as u32);
    let own = process.credentials;
    let keeps_user = user == UNCHANGED || user == attributes.user;
    let own_group = group == UNCHANGED || group == own.group || group == attributes.group;
    if own.user != 0 && !(own.user == attributes.user && keeps_user && own_group) {
        return Err(Errno::EPERM);
    }
    let cleared = if node.is_directory() { 0 } else { SET_IDS };
    node.attributes.set(Attributes {
        mode: attributes.mode & !cleared,
        user: if user == UNCHANGED {
            attributes.user
        } else {
            user
        },
        group: if group == UNCHANGED {
            attributes.group
        } else {
            group
        },
        ..attributes
    });
    node.changed.set(process.tree.store.now());
    Ok(0)
}

pub fn change_owner(process: &mut Process, [path, user, group, ..]: Arguments) -> Result {
    change_owner_at(process, [WORKING, path, user, group, 0, 0])
}

pub fn change_owner_of_link(process: &mut Process, [path, user, group, ..]: Arguments) -> Result {
    let flags = u64::from(AT_SYMLINK_NOFOLLOW);
    change_owner_at(process, [WORKING, path, user, group, flags, 0])
}

pub fn change_owner_at(
    process: &mut Process,
    [from, path, user, group, flags, ..]: Arguments,
) -> Result {
    let node = find(process, from, path, flags)?;
    set_owner(process, &node, user, group)
}

pub fn change_owner_open(process: &mut Process, [number, user, group, ..]: Arguments) -> Result {
    let node = open_node(process, number)?;
    set_owner(process, &node, user, group)
}

/// A time, as it is to be set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    Now,
    Unchanged,
    /// Nanoseconds since 1970.
    At(u64),
}

impl Time {
    /// Of `struct timespec`.
    fn of([seconds, nanoseconds]: [u64; 2]) -> Result<Self> {
        const SECOND: u64 = 1_000_000_000;
        match u32::try_from(nanoseconds) {
            Ok(UTIME_NOW) => Ok(Self::Now),
            Ok(UTIME_OMIT) => Ok(Self::Unchanged),
            _ if nanoseconds >= SECOND => Err(Errno::EINVAL),
            _ => Ok(Self::At(
                seconds.saturating_mul(SECOND).saturating_add(nanoseconds),
            )),
        }
    }

    fn or(self, before: u64, now: u64) -> u64 {
        match self {
            Self::Now => now,
            Self::Unchanged => before,
            Self::At(time) => time,
        }
    }
}

fn set_times(process: &Process, node: &Node, [accessed, modified]: [Time; 2]) -> Result {
    if (accessed, modified) == (Time::Now, Time::Now) {
        let owner = process.credentials.check_owner(node);
        owner.or_else(|_| process.credentials.check(node, WRITE))?;
    } else {
        process.credentials.check_owner(node)?;
    }
    let now = process.tree.store.now();
    let attributes = node.attributes.get();
    node.accessed.set(accessed.or(node.accessed.get(), now));
    node.attributes.set(Attributes {
        modified: modified.or(attributes.modified, now),
        ..attributes
    });
    node.changed.set(now);
    Ok(0)
}

/// `utimensat`: a null path means the descriptor itself.
pub fn change_times_at(process: &mut Process, [from, path, times, flags, ..]: Arguments) -> Result {
    let times = match times {
        0 => [Time::Now; 2],
        address => {
            let [a, b, c, d] = program::read_words(process, address)?;
            [Time::of([a, b])?, Time::of([c, d])?]
        }
    };
    let node = match path {
        0 => open_node(process, from)?,
        _ => find(process, from, path, flags)?,
    };
    set_times(process, &node, times)
}

/// `utimes`: microseconds.
pub fn change_times(process: &mut Process, [path, times, ..]: Arguments) -> Result {
    change_times_from(process, [WORKING, path, times, 0, 0, 0])
}

/// `futimesat`: the same from a directory.
pub fn change_times_from(process: &mut Process, [from, path, times, ..]: Arguments) -> Result {
    let times = match times {
        0 => [Time::Now; 2],
        address => {
            let [a, b, c, d] = program::read_words(process, address)?;
            if b >= 1_000_000 || d >= 1_000_000 {
                return Err(Errno::EINVAL);
            }
            [Time::of([a, b * 1000])?, Time::of([c, d * 1000])?]
        }
    };
    let node = find(process, from, path, 0)?;
    set_times(process, &node, times)
}

/// `utime`: seconds.
pub fn change_times_in_seconds(process: &mut Process, [path, times, ..]: Arguments) -> Result {
    let times = match times {
        0 => [Time::Now; 2],
        address => {
            let [accessed, modified] = program::read_words(process, address)?;
            [Time::of([accessed, 0])?, Time::of([modified, 0])?]
        }
    };
    let node = find(process, WORKING, path, 0)?;
    set_times(process, &node, times)
}

pub fn truncate(process: &mut Process, [path, bytes, ..]: Arguments) -> Result {
    if bytes > i64::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    let place = look_up(process, WORKING, path, true)?;
    let node = place.found()?;
    process.credentials.check(node, WRITE)?;
    node.data()?.borrow_mut().resize(bytes, &process.memory)?;
    node.touch(process.tree.store.now());
    Ok(0)
}

/// No file has extended attributes, and none can get any.
pub fn no_extended_attributes(_: &mut Process, _: Arguments) -> Result {
    Err(Errno::EOPNOTSUPP)
}
