//! Calls that name files by paths.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use linux_raw_sys::general::{
    AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, O_CLOEXEC, O_CREAT, O_DIRECTORY,
    O_EXCL, O_NOFOLLOW, O_TRUNC, O_WRONLY,
};

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::files::node::{Content, Node, directory};
use crate::files::open::OpenFile;
use crate::files::path::Place;
use crate::files::status as encoding;
use crate::process::Process;

/// The working directory, as a descriptor.
const WORKING: u64 = AT_FDCWD as u64;

/// Where the path at `address` leads, from the directory `from`.
fn look_up(process: &mut Process, from: u64, address: u64, follow: bool) -> Result<Place> {
    let path = program::read_string(process, address)?;
    look_up_path(process, from, &path, follow)
}

fn look_up_path(process: &Process, from: u64, path: &[u8], follow: bool) -> Result<Place> {
    if from as i32 == AT_FDCWD || path.first() == Some(&b'/') {
        return process.tree.look_up(&process.directory, path, follow);
    }
    let file = process.descriptors.file(from)?;
    if file.above.is_empty() {
        return Err(Errno::ENOTDIR);
    }
    process.tree.look_up(&file.above, path, follow)
}

pub fn open(process: &mut Process, [path, flags, mode, ..]: Arguments) -> Result {
    open_at(process, [WORKING, path, flags, mode, 0, 0])
}

pub fn create(process: &mut Process, [path, mode, ..]: Arguments) -> Result {
    let flags = u64::from(O_CREAT | O_WRONLY | O_TRUNC);
    open_at(process, [WORKING, path, flags, mode, 0, 0])
}

pub fn open_at(process: &mut Process, [from, path, flags, mode, ..]: Arguments) -> Result {
    let flags = flags as u32;
    let exclusive = flags & O_CREAT != 0 && flags & O_EXCL != 0;
    let follow = flags & O_NOFOLLOW == 0 && !exclusive;
    let place = look_up(process, from, path, follow)?;
    let node = match &place.node {
        Some(_) if exclusive => return Err(Errno::EEXIST),
        Some(node) => node.clone(),
        None if flags & O_CREAT != 0 => {
            let mode = mode as u32 & 0o7777 & !process.mask;
            let node = process
                .tree
                .create(Content::Regular(RefCell::default()), mode);
            place.directory()?.insert(&place.name, node.clone());
            node
        }
        None => return Err(Errno::ENOENT),
    };
    match &node.content {
        Content::Link(_) => return Err(Errno::ELOOP),
        Content::Directory(_) if flags & (O_CREAT | 3) != 0 => return Err(Errno::EISDIR),
        Content::Directory(_) => {}
        _ if flags & O_DIRECTORY != 0 => return Err(Errno::ENOTDIR),
        Content::Regular(data) if flags & O_TRUNC != 0 => data.borrow_mut().clear(),
        _ => {}
    }
    let node = process.family.outside.resolve(node)?;
    let above = match node.names() {
        Ok(_) => place.chain()?,
        Err(_) => Vec::new(),
    };
    let file = OpenFile::new(
        node,
        above,
        flags & !(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC),
    );
    process.descriptors.add(0, file, flags & O_CLOEXEC != 0)
}

fn write_status(process: &mut Process, place: Place, address: u64) -> Result {
    program::write(process, address, &encoding::encode(&*place.found()?))?;
    Ok(0)
}

pub fn status(process: &mut Process, [path, address, ..]: Arguments) -> Result {
    let place = look_up(process, WORKING, path, true)?;
    write_status(process, place, address)
}

pub fn link_status(process: &mut Process, [path, address, ..]: Arguments) -> Result {
    let place = look_up(process, WORKING, path, false)?;
    write_status(process, place, address)
}

pub fn status_at(process: &mut Process, [from, path, address, flags, ..]: Arguments) -> Result {
    let flags = flags as u32;
    if flags & AT_EMPTY_PATH != 0 && program::read_string(process, path)?.is_empty() {
        return super::file::status(process, [from, address, 0, 0, 0, 0]);
    }
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    let place = look_up(process, from, path, follow)?;
    write_status(process, place, address)
}

pub fn access(process: &mut Process, [path, mode, ..]: Arguments) -> Result {
    access_at(process, [WORKING, path, mode, 0, 0, 0])
}

/// The program is the superuser: it may read and write everything that is there, and execute what anybody may.
pub fn access_at(process: &mut Process, [from, path, mode, ..]: Arguments) -> Result {
    const EXECUTE: u64 = 1;
    let node = look_up(process, from, path, true)?.found()?;
    let refused = mode & EXECUTE != 0 && node.names().is_err() && node.mode.get() & 0o111 == 0;
    if refused { Err(Errno::EACCES) } else { Ok(0) }
}

pub fn read_link(process: &mut Process, [path, address, bytes, ..]: Arguments) -> Result {
    read_link_at(process, [WORKING, path, address, bytes, 0, 0])
}

pub fn read_link_at(process: &mut Process, [from, path, address, bytes, ..]: Arguments) -> Result {
    let node = look_up(process, from, path, false)?.found()?;
    let Content::Link(target) = &node.content else {
        return Err(Errno::EINVAL);
    };
    let length = target.len().min(bytes as usize);
    program::write(process, address, target.get(..length).unwrap_or_default())?;
    Ok(length as u64)
}

pub fn make_directory(process: &mut Process, [path, mode, ..]: Arguments) -> Result {
    make_directory_at(process, [WORKING, path, mode, 0, 0, 0])
}

pub fn make_directory_at(process: &mut Process, [from, path, mode, ..]: Arguments) -> Result {
    let mut path = program::read_string(process, path)?;
    while path.len() > 1 && path.ends_with(b"/") {
        path.pop();
    }
    let place = look_up_path(process, from, &path, false)?;
    let mode = mode as u32 & 0o7777 & !process.mask;
    let node = process.tree.create(directory(), mode);
    add(&place, node)
}

/// Gives a new node its name.
fn add(place: &Place, node: Rc<Node>) -> Result {
    if place.node.is_some() {
        return Err(Errno::EEXIST);
    }
    place.directory()?.insert(&place.name, node);
    Ok(0)
}

pub fn make_link(process: &mut Process, [target, path, ..]: Arguments) -> Result {
    let target = program::read_string(process, target)?;
    let place = look_up(process, WORKING, path, false)?;
    let node = process.tree.create(Content::Link(target), 0o777);
    add(&place, node)
}

pub fn remove_directory(process: &mut Process, [path, ..]: Arguments) -> Result {
    unlink_at(process, [WORKING, path, u64::from(AT_REMOVEDIR), 0, 0, 0])
}

pub fn unlink(process: &mut Process, [path, ..]: Arguments) -> Result {
    unlink_at(process, [WORKING, path, 0, 0, 0, 0])
}

pub fn unlink_at(process: &mut Process, [from, path, flags, ..]: Arguments) -> Result {
    let place = look_up(process, from, path, false)?;
    let node = place.node.as_ref().ok_or(Errno::ENOENT)?;
    if place.name.is_empty() {
        return Err(Errno::EINVAL);
    }
    match (node.names(), flags as u32 & AT_REMOVEDIR != 0) {
        (Ok(_), false) => return Err(Errno::EISDIR),
        (Err(_), true) => return Err(Errno::ENOTDIR),
        (Ok(names), true) if !names.borrow().is_empty() => return Err(Errno::ENOTEMPTY),
        _ => {}
    }
    node.links.set(node.links.get().saturating_sub(1));
    place.directory()?.names()?.borrow_mut().remove(&place.name);
    Ok(0)
}

pub fn rename(process: &mut Process, [old, new, ..]: Arguments) -> Result {
    let old = look_up(process, WORKING, old, false)?;
    let new = look_up(process, WORKING, new, false)?;
    let node = old.node.clone().ok_or(Errno::ENOENT)?;
    if old.name.is_empty() || new.name.is_empty() {
        return Err(Errno::EINVAL);
    }
    // A directory does not go into itself.
    if new.above.iter().any(|above| Rc::ptr_eq(above, &node)) {
        return Err(Errno::EINVAL);
    }
    if let Some(replaced) = &new.node {
        if Rc::ptr_eq(replaced, &node) {
            return Ok(0);
        }
        match (replaced.names(), node.names()) {
            (Ok(names), Ok(_)) if !names.borrow().is_empty() => return Err(Errno::ENOTEMPTY),
            (Ok(_), Err(_)) => return Err(Errno::EISDIR),
            (Err(_), Ok(_)) => return Err(Errno::ENOTDIR),
            _ => {}
        }
    }
    old.directory()?.names()?.borrow_mut().remove(&old.name);
    new.directory()?.insert(&new.name, node);
    Ok(0)
}

pub fn change_directory(process: &mut Process, [path, ..]: Arguments) -> Result {
    process.directory = look_up(process, WORKING, path, true)?.chain()?;
    Ok(0)
}

pub fn working_directory(process: &mut Process, [address, bytes, ..]: Arguments) -> Result {
    let mut path = Vec::new();
    for pair in process.directory.windows(2) {
        let [above, below] = pair else { continue };
        let names = above.names()?.borrow();
        let name = names.iter().find(|(_, node)| Rc::ptr_eq(node, below));
        path.push(b'/');
        path.extend(name.ok_or(Errno::ENOENT)?.0);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path.push(0);
    if path.len() as u64 > bytes {
        return Err(Errno::ERANGE);
    }
    program::write(process, address, &path)?;
    Ok(path.len() as u64)
}

pub fn set_mask(process: &mut Process, [mask, ..]: Arguments) -> Result {
    let old = core::mem::replace(&mut process.mask, mask as u32 & 0o777);
    Ok(u64::from(old))
}
