//! Calls that give files names, and take names away.

use alloc::rc::Rc;
use alloc::vec::Vec;

use linux_raw_sys::general::{
    AT_EMPTY_PATH, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, RENAME_EXCHANGE, RENAME_NOREPLACE, S_IFBLK,
    S_IFCHR, S_IFIFO, S_IFMT, S_IFREG,
};

use super::path::{WORKING, attributes, look_up, look_up_path};
use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::files::credentials::WRITE;
use crate::files::device::Device;
use crate::files::node::{Attributes, Content, Node, directory};
use crate::files::path::Place;
use crate::files::pipe::Pipe;
use crate::process::Process;

/// Mode bit of a directory in which only owners take names away.
const STICKY: u32 = 0o1000;
/// Permissions of a symbolic link, which nobody asks for.
const LINK_MODE: u32 = 0o777;

/// The directory of a place, if the process may change names in it.
fn to_change<'p>(process: &Process, place: &'p Place) -> Result<&'p Rc<Node>> {
    let directory = place.directory()?;
    process.credentials.check(directory, WRITE)?;
    Ok(directory)
}

/// Gives a new node its name.
fn add(process: &Process, place: &Place, node: Rc<Node>) -> Result {
    if place.node.is_some() {
        return Err(Errno::EEXIST);
    }
    let directory = to_change(process, place)?;
    directory.insert(&place.name, node);
    directory.touch(process.tree.store.now());
    Ok(0)
}

/// The place of a path whose last name is a directory's: slashes at its end change nothing.
fn look_up_directory(process: &mut Process, from: u64, path: u64) -> Result<Place> {
    let mut path = program::read_string(process, path)?;
    while path.len() > 1 && path.ends_with(b"/") {
        path.pop();
    }
    look_up_path(process, from, &path, false)
}

pub fn make_directory(process: &mut Process, [path, mode, ..]: Arguments) -> Result {
    make_directory_at(process, [WORKING, path, mode, 0, 0, 0])
}

pub fn make_directory_at(process: &mut Process, [from, path, mode, ..]: Arguments) -> Result {
    let place = look_up_directory(process, from, path)?;
    let attributes = attributes(process, mode & 0o1777);
    let node = Node::new(&process.tree.store, directory(), attributes);
    add(process, &place, node)
}

pub fn make_node(process: &mut Process, [path, mode, device, ..]: Arguments) -> Result {
    make_node_at(process, [WORKING, path, mode, device, 0, 0])
}

/// A device that is not there can have a name too.
pub fn make_node_at(process: &mut Process, [from, path, mode, number, ..]: Arguments) -> Result {
    let place = look_up(process, from, path, false)?;
    let content = match mode as u32 & S_IFMT {
        0 | S_IFREG => process.tree.empty_file(),
        S_IFIFO => Content::Pipe(Pipe::new(false)),
        S_IFCHR | S_IFBLK if process.credentials.user != 0 => return Err(Errno::EPERM),
        S_IFCHR => {
            Content::Device(Device::with_number(number).unwrap_or(Device::Absent(false, number)))
        }
        S_IFBLK => Content::Device(Device::Absent(true, number)),
        _ => return Err(Errno::EINVAL),
    };
    let node = Node::new(&process.tree.store, content, attributes(process, mode));
    add(process, &place, node)
}

pub fn make_link(process: &mut Process, [target, path, ..]: Arguments) -> Result {
    make_link_at(process, [target, WORKING, path, 0, 0, 0])
}

pub fn make_link_at(process: &mut Process, [target, from, path, ..]: Arguments) -> Result {
    let target = program::read_string(process, target)?;
    if target.is_empty() {
        return Err(Errno::ENOENT);
    }
    let place = look_up(process, from, path, false)?;
    let attributes = Attributes {
        mode: LINK_MODE,
        ..attributes(process, 0)
    };
    let node = Node::new(&process.tree.store, Content::Link(target), attributes);
    add(process, &place, node)
}

pub fn link(process: &mut Process, [old, new, ..]: Arguments) -> Result {
    link_at(process, [WORKING, old, WORKING, new, 0, 0])
}

pub fn link_at(process: &mut Process, [old_from, old, from, new, flags, ..]: Arguments) -> Result {
    let flags = flags as u32;
    if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = program::read_string(process, old)?;
    let node = if path.is_empty() && flags & AT_EMPTY_PATH != 0 {
        process.descriptors.file(old_from)?.node.clone()
    } else {
        let follow = flags & AT_SYMLINK_FOLLOW != 0;
        look_up_path(process, old_from, &path, follow)?
            .found()?
            .clone()
    };
    if node.is_directory() {
        return Err(Errno::EPERM);
    }
    let place = look_up(process, from, new, false)?;
    add(process, &place, node.clone())?;
    node.links.set(node.links.get() + 1);
    node.changed.set(process.tree.store.now());
    Ok(0)
}

pub fn remove_directory(process: &mut Process, [path, ..]: Arguments) -> Result {
    unlink_at(process, [WORKING, path, u64::from(AT_REMOVEDIR), 0, 0, 0])
}

pub fn unlink(process: &mut Process, [path, ..]: Arguments) -> Result {
    unlink_at(process, [WORKING, path, 0, 0, 0, 0])
}

pub fn unlink_at(process: &mut Process, [from, path, flags, ..]: Arguments) -> Result {
    let removes_directory = match flags as u32 {
        0 => false,
        AT_REMOVEDIR => true,
        _ => return Err(Errno::EINVAL),
    };
    let place = match removes_directory {
        true => look_up_directory(process, from, path)?,
        false => look_up(process, from, path, false)?,
    };
    let node = place.found()?;
    if place.name.is_empty() {
        return Err(match (removes_directory, place.last_is_dot) {
            (true, true) => Errno::EINVAL,
            (true, false) => Errno::EBUSY,
            (false, _) => Errno::EISDIR,
        });
    }
    match (node.names(), removes_directory) {
        (Ok(_), false) => return Err(Errno::EISDIR),
        (Err(_), true) => return Err(Errno::ENOTDIR),
        (Ok(names), true) if !names.borrow().is_empty() => return Err(Errno::ENOTEMPTY),
        _ => {}
    }
    remove(process, &place)
}

/// Takes a name away.
fn remove(process: &Process, place: &Place) -> Result {
    let directory = to_change(process, place)?;
    let node = place.found()?;
    check_sticky(process, directory, node)?;
    directory.names()?.borrow_mut().remove(&place.name);
    node.links.set(node.links.get().saturating_sub(1));
    let now = process.tree.store.now();
    node.changed.set(now);
    directory.touch(now);
    Ok(0)
}

fn check_sticky(process: &Process, directory: &Node, node: &Node) -> Result<()> {
    let attributes = directory.attributes.get();
    if attributes.mode & STICKY == 0 || process.credentials.user == attributes.user {
        return Ok(());
    }
    process.credentials.check_owner(node)
}

pub fn rename(process: &mut Process, [old, new, ..]: Arguments) -> Result {
    rename_at_with_flags(process, [WORKING, old, WORKING, new, 0, 0])
}

pub fn rename_at(process: &mut Process, [old_from, old, from, new, ..]: Arguments) -> Result {
    rename_at_with_flags(process, [old_from, old, from, new, 0, 0])
}

pub fn rename_at_with_flags(
    process: &mut Process,
    [old_from, old, from, new, flags, ..]: Arguments,
) -> Result {
    let flags = flags as u32;
    if flags & !(RENAME_NOREPLACE | RENAME_EXCHANGE) != 0
        || flags == RENAME_NOREPLACE | RENAME_EXCHANGE
    {
        return Err(Errno::EINVAL);
    }
    let old_path = program::read_string(process, old)?;
    let new_path = program::read_string(process, new)?;
    let old = look_up_renamed(process, old_from, &old_path)?;
    let new = look_up_renamed(process, from, &new_path)?;
    let node = old.found()?.clone();
    if old.name.is_empty() || new.name.is_empty() {
        return Err(Errno::EBUSY);
    }
    let wants_directory = old_path.ends_with(b"/") || new_path.ends_with(b"/");
    if wants_directory && !node.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    // A directory does not go into itself.
    let is_above =
        |place: &Place, node: &Rc<Node>| place.above.iter().any(|above| Rc::ptr_eq(above, node));
    if is_above(&new, &node) {
        return Err(Errno::EINVAL);
    }
    check_sticky(process, to_change(process, &old)?, &node)?;
    let target = to_change(process, &new)?.clone();
    let exchange = flags & RENAME_EXCHANGE != 0;
    let replaced = new.node.clone();
    match &replaced {
        None if exchange => return Err(Errno::ENOENT),
        Some(_) if flags & RENAME_NOREPLACE != 0 => return Err(Errno::EEXIST),
        Some(replaced) if Rc::ptr_eq(replaced, &node) => return Ok(0),
        Some(replaced) if exchange && is_above(&old, replaced) => return Err(Errno::EINVAL),
        Some(replaced) if !exchange => {
            check_sticky(process, &target, replaced)?;
            match (replaced.names(), node.is_directory()) {
                (Ok(names), true) if !names.borrow().is_empty() => return Err(Errno::ENOTEMPTY),
                (Ok(_), false) => return Err(Errno::EISDIR),
                (Err(_), true) => return Err(Errno::ENOTDIR),
                _ => replaced.links.set(replaced.links.get().saturating_sub(1)),
            }
        }
        _ => {}
    }
    let source = old.directory()?;
    match replaced.filter(|_| exchange) {
        Some(replaced) => source.insert(&old.name, replaced),
        None => drop(source.names()?.borrow_mut().remove(&old.name)),
    }
    target.insert(&new.name, node.clone());
    let now = process.tree.store.now();
    node.changed.set(now);
    source.touch(now);
    target.touch(now);
    Ok(0)
}

/// A place that is renamed: slashes at its end do not follow a link.
fn look_up_renamed(process: &Process, from: u64, path: &[u8]) -> Result<Place> {
    let mut path = Vec::from(path);
    while path.len() > 1 && path.ends_with(b"/") {
        path.pop();
    }
    look_up_path(process, from, &path, false)
}
