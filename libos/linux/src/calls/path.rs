//! Calls that open files by paths, and ask what is there.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use linux_raw_sys::general::{
    AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_ACCMODE, O_CLOEXEC, O_CREAT,
    O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, O_TMPFILE, O_TRUNC, O_WRONLY,
};

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::files::credentials::{EXECUTE, READ, WRITE};
use crate::files::data::{Base, Data, Text};
use crate::files::node::{Attributes, Content, Node};
use crate::files::open::OpenFile;
use crate::files::path::{self, Place, name_of};
use crate::files::status as encoding;
use crate::process::Process;
use crate::wait;

/// The working directory, as a descriptor.
pub const WORKING: u64 = AT_FDCWD as u64;

/// Where the path at `address` leads, from the directory `from`.
pub fn look_up(process: &mut Process, from: u64, address: u64, follow: bool) -> Result<Place> {
    let path = program::read_string(process, address)?;
    look_up_path(process, from, &path, follow)
}

/// The same for a path that was read.
pub fn look_up_path(process: &Process, from: u64, path: &[u8], follow: bool) -> Result<Place> {
    if from as i32 == AT_FDCWD || path.first() == Some(&b'/') {
        return path::look_up(process, &process.directory, path, follow);
    }
    let file = process.descriptors.file(from)?;
    if file.above.is_empty() {
        return Err(Errno::ENOTDIR);
    }
    path::look_up(process, &file.above, path, follow)
}

/// What a path names, or, where it is empty and `AT_EMPTY_PATH` is set, a descriptor.
pub fn find(process: &mut Process, from: u64, address: u64, flags: u64) -> Result<Rc<Node>> {
    let flags = flags as u32;
    // Linux takes a null pointer for an empty path here.
    if flags & AT_EMPTY_PATH != 0
        && (address == 0 || program::read_string(process, address)?.is_empty())
    {
        return match from as i32 == AT_FDCWD {
            true => process.directory.last().cloned().ok_or(Errno::ENOENT),
            false => Ok(process.descriptors.file(from)?.node.clone()),
        };
    }
    let follow = flags & AT_SYMLINK_NOFOLLOW == 0;
    look_up(process, from, address, follow)?.found().cloned()
}

/// Attributes of what a process makes.
pub fn attributes(process: &Process, mode: u64) -> Attributes {
    Attributes {
        mode: mode as u32 & 0o7777 & !process.mask,
        user: process.credentials.user,
        group: process.credentials.group,
        modified: process.tree.store.now(),
    }
}

pub fn open(process: &mut Process, [path, flags, mode, ..]: Arguments) -> wait::Result {
    open_at(process, [WORKING, path, flags, mode, 0, 0])
}

pub fn create(process: &mut Process, [path, mode, ..]: Arguments) -> wait::Result {
    let flags = u64::from(O_CREAT | O_WRONLY | O_TRUNC);
    open_at(process, [WORKING, path, flags, mode, 0, 0])
}

/// Rights that the flags of `open` need.
fn rights(flags: u32) -> u32 {
    if flags & O_PATH != 0 {
        return 0;
    }
    let access = match flags & O_ACCMODE {
        O_RDONLY => READ,
        O_WRONLY => WRITE,
        _ => READ | WRITE,
    };
    access | if flags & O_TRUNC != 0 { WRITE } else { 0 }
}

pub fn open_at(process: &mut Process, [from, path, flags, mode, ..]: Arguments) -> wait::Result {
    let flags = flags as u32;
    if flags & O_TMPFILE == O_TMPFILE {
        return Ok(open_nameless(process, from, path, flags, mode)?);
    }
    let exclusive = flags & O_CREAT != 0 && flags & O_EXCL != 0;
    let follow = flags & O_NOFOLLOW == 0 && !exclusive;
    let text = program::read_string(process, path)?;
    let place = look_up_path(process, from, &text, follow)?;
    let node = match &place.node {
        Some(_) if exclusive => return Err(Errno::EEXIST.into()),
        Some(node) => {
            process.credentials.check(node, rights(flags))?;
            node.clone()
        }
        None if flags & O_CREAT != 0 => create_file(process, &place, mode)?,
        None => return Err(Errno::ENOENT.into()),
    };
    match &node.content {
        Content::Link(_) if flags & O_PATH == 0 => return Err(Errno::ELOOP.into()),
        Content::Directory(_) if flags & (O_CREAT | O_ACCMODE) != 0 => {
            return Err(Errno::EISDIR.into());
        }
        Content::Directory(_) => {}
        _ if flags & O_DIRECTORY != 0 => return Err(Errno::ENOTDIR.into()),
        Content::Regular(data) if flags & O_TRUNC != 0 => {
            data.borrow_mut().resize(0, &process.memory)?;
            node.touch(process.tree.store.now());
        }
        _ => {}
    }
    let node = process.family.outside.resolve(node)?;
    if let Content::Pipe(pipe) = &node.content
        && flags & O_PATH == 0
    {
        let waited = process.threads.current.waited.map(|waited| waited.moved);
        match (flags & O_ACCMODE, flags & O_NONBLOCK != 0) {
            (O_WRONLY, true) if !pipe.has_readers() => return Err(Errno::ENXIO.into()),
            (O_RDONLY, false) => pipe.await_peer(true, waited)?,
            (O_WRONLY, false) => pipe.await_peer(false, waited)?,
            _ => {}
        }
    }
    let name = place.path().unwrap_or_default();
    let above = match node.is_directory() {
        true => place.chain()?,
        false => Vec::new(),
    };
    Ok(open_node(process, node, above, name, flags)?)
}

/// A new regular file at a place where nothing is.
fn create_file(process: &mut Process, place: &Place, mode: u64) -> Result<Rc<Node>> {
    let directory = place.directory()?;
    process.credentials.check(directory, WRITE)?;
    let content = process.tree.empty_file();
    let node = Node::new(&process.tree.store, content, attributes(process, mode));
    directory.insert(&place.name, node.clone());
    directory.touch(process.tree.store.now());
    Ok(node)
}

/// A file without a name (`O_TMPFILE`), in a directory that has to be there.
fn open_nameless(process: &mut Process, from: u64, path: u64, flags: u32, mode: u64) -> Result {
    let place = look_up(process, from, path, true)?;
    let directory = place.found()?;
    directory.names()?;
    process.credentials.check(directory, WRITE)?;
    if flags & O_ACCMODE == O_RDONLY {
        return Err(Errno::EINVAL);
    }
    let content = process.tree.empty_file();
    let node = Node::new(&process.tree.store, content, attributes(process, mode));
    node.links.set(0);
    open_node(process, node, Vec::new(), Vec::new(), flags & !O_DIRECTORY)
}

/// A descriptor for a node. What `/proc` tells is made now.
fn open_node(
    process: &mut Process,
    node: Rc<Node>,
    above: Vec<Rc<Node>>,
    path: Vec<u8>,
    flags: u32,
) -> Result {
    let node = match &node.content {
        Content::Report(report) => {
            let text = report.text(process);
            let bytes = text.len() as u64;
            let base = Base::Source(RefCell::new(Box::new(Text(text))));
            let data = Data::over(&process.tree.store, base, bytes);
            process
                .tree
                .create(Content::Regular(RefCell::new(data)), 0o444)
        }
        _ => node,
    };
    let kept = flags & !(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC);
    let file = OpenFile::named(node, above, path, kept);
    process.descriptors.add(0, file, flags & O_CLOEXEC != 0)
}

fn write_status(process: &mut Process, node: &Node, address: u64) -> Result {
    program::write(process, address, &encoding::encode(node))?;
    Ok(0)
}

pub fn status(process: &mut Process, [path, address, ..]: Arguments) -> Result {
    let place = look_up(process, WORKING, path, true)?;
    write_status(process, place.found()?, address)
}

pub fn link_status(process: &mut Process, [path, address, ..]: Arguments) -> Result {
    let place = look_up(process, WORKING, path, false)?;
    write_status(process, place.found()?, address)
}

pub fn status_at(process: &mut Process, [from, path, address, flags, ..]: Arguments) -> Result {
    let node = find(process, from, path, flags)?;
    write_status(process, &node, address)
}

/// Writes `struct statx`: all that `stat` tells, whatever was asked for.
pub fn extended_status(
    process: &mut Process,
    [from, path, flags, _, address, _]: Arguments,
) -> Result {
    let node = find(process, from, path, flags)?;
    program::write(process, address, &encoding::encode_extended(&node))?;
    Ok(0)
}

pub fn file_system(process: &mut Process, [path, address, ..]: Arguments) -> Result {
    look_up(process, WORKING, path, true)?.found()?;
    program::write_words(process, address, &encoding::FILE_SYSTEM)?;
    Ok(0)
}

pub fn file_system_open(process: &mut Process, [number, address, ..]: Arguments) -> Result {
    process.descriptors.file(number)?;
    program::write_words(process, address, &encoding::FILE_SYSTEM)?;
    Ok(0)
}

pub fn access(process: &mut Process, [path, mode, ..]: Arguments) -> Result {
    access_at(process, [WORKING, path, mode, 0, 0, 0])
}

pub fn access_at(process: &mut Process, [from, path, mode, ..]: Arguments) -> Result {
    access_at_with_flags(process, [from, path, mode, 0, 0, 0])
}

pub fn access_at_with_flags(
    process: &mut Process,
    [from, path, mode, flags, ..]: Arguments,
) -> Result {
    let known = AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
    if mode as u32 & !(READ | WRITE | EXECUTE) != 0 || flags as u32 & !known != 0 {
        return Err(Errno::EINVAL);
    }
    let node = find(process, from, path, flags)?;
    process.credentials.check(&node, mode as u32).map(|()| 0)
}

pub fn read_link(process: &mut Process, [path, address, bytes, ..]: Arguments) -> Result {
    read_link_at(process, [WORKING, path, address, bytes, 0, 0])
}

pub fn read_link_at(process: &mut Process, [from, path, address, bytes, ..]: Arguments) -> Result {
    if bytes as i32 <= 0 {
        return Err(Errno::EINVAL);
    }
    let node = look_up(process, from, path, false)?.found()?.clone();
    let target = match &node.content {
        Content::Link(target) => target.clone(),
        Content::Report(report) => report.link_text(process)?,
        _ => return Err(Errno::EINVAL),
    };
    let length = target.len().min(bytes as usize);
    program::write(process, address, target.get(..length).unwrap_or_default())?;
    Ok(length as u64)
}

pub fn change_directory(process: &mut Process, [path, ..]: Arguments) -> Result {
    let place = look_up(process, WORKING, path, true)?;
    enter(process, place.chain()?)
}

pub fn change_to_open_directory(process: &mut Process, [number, ..]: Arguments) -> Result {
    let above = process.descriptors.file(number)?.above.clone();
    if above.is_empty() {
        return Err(Errno::ENOTDIR);
    }
    enter(process, above)
}

fn enter(process: &mut Process, chain: Vec<Rc<Node>>) -> Result {
    if let Some(directory) = chain.last() {
        process.credentials.check(directory, EXECUTE)?;
    }
    process.directory = chain;
    Ok(0)
}

pub fn change_root(process: &mut Process, [path, ..]: Arguments) -> Result {
    let place = look_up(process, WORKING, path, true)?;
    let chain = place.chain()?;
    if process.credentials.user != 0 {
        return Err(Errno::EPERM);
    }
    if let Some(root) = chain.last() {
        process.root = root.clone();
    }
    Ok(0)
}

pub fn working_directory(process: &mut Process, [address, bytes, ..]: Arguments) -> Result {
    let all = &process.directory;
    let root = all.iter().position(|node| Rc::ptr_eq(node, &process.root));
    let mut path = match root {
        Some(root) => name_of(all.get(root..).unwrap_or_default())?,
        // As Linux says it of one that lies outside (getcwd(2)).
        None => [&b"(unreachable)"[..], &name_of(all)?].concat(),
    };
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
