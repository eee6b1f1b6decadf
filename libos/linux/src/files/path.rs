//! From a path to a node, and back.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::credentials::EXECUTE;
use super::node::{Content, Names, Node};
use super::report::{self, Target};
use crate::errno::{Errno, Result};
use crate::process::Process;

/// Symbolic links that one look-up follows at most, as under Linux.
const LINKS_MAX: u32 = 40;
/// Bytes that a path may have, its end included.
pub const PATH_MAX: usize = 4096;
/// Bytes that a name may have.
const NAME_MAX: usize = 255;

/// Where a path leads.
#[derive(Debug)]
pub struct Place {
    /// The directories from the root down to that of the last name.
    pub above: Vec<Rc<Node>>,
    /// The last name; empty where the path names `/` or ends in `.` or `..`.
    pub name: Vec<u8>,
    /// Whether the path ended in `.`.
    pub last_is_dot: bool,
    /// What has that name, if anything.
    pub node: Option<Rc<Node>>,
}

impl Place {
    /// The directory of the last name.
    pub fn directory(&self) -> Result<&Rc<Node>> {
        self.above.last().ok_or(Errno::ENOENT)
    }

    /// The directories from the root down to what is there, which is one.
    pub fn chain(mut self) -> Result<Vec<Rc<Node>>> {
        let node = self.node.ok_or(Errno::ENOENT)?;
        node.names()?;
        if !self.name.is_empty() {
            self.above.push(node);
        }
        Ok(self.above)
    }

    /// What is there.
    pub fn found(&self) -> Result<&Rc<Node>> {
        self.node.as_ref().ok_or(Errno::ENOENT)
    }

    /// The path that leads there.
    pub fn path(&self) -> Result<Vec<u8>> {
        let mut path = name_of(&self.above)?;
        if !self.name.is_empty() {
            if path.len() > 1 {
                path.push(b'/');
            }
            path.extend(&self.name);
        }
        Ok(path)
    }
}

/// The path of a directory, given as the directories from the root down to it.
pub fn name_of(chain: &[Rc<Node>]) -> Result<Vec<u8>> {
    let mut path = Vec::new();
    for pair in chain.windows(2) {
        let [above, below] = pair else { continue };
        let names = above.names()?.borrow();
        let name = names.iter().find(|(_, node)| Rc::ptr_eq(node, below));
        path.push(b'/');
        path.extend(name.ok_or(Errno::ENOENT)?.0);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Ok(path)
}

/// What a name in a directory means to a process.
fn find(
    process: &Process,
    above: &[Rc<Node>],
    here: &Node,
    name: &[u8],
) -> Result<Option<Rc<Node>>> {
    if name.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    let found = here.names()?.borrow().get(name).cloned();
    let is_number = name.iter().all(u8::is_ascii_digit);
    if found.is_some() || !is_number || above.len() != 2 {
        return Ok(found);
    }
    // In `/proc`, the directory of a process is made when somebody asks for it.
    if !is_of_processes(process, here) {
        return Ok(None);
    }
    let number = core::str::from_utf8(name).unwrap_or_default();
    let number = number.parse().unwrap_or(0);
    if number == process.member.number {
        return Ok(Some(report::of_process(process)));
    }
    let other = process.family.member(number);
    Ok(other.map(|member| report::of_other(&process.tree, &member)))
}

/// Whether a directory is `/proc`.
fn is_of_processes(process: &Process, directory: &Node) -> bool {
    let names = process.tree.root.names();
    let found = names
        .ok()
        .and_then(|names| names.borrow().get(&b"proc"[..]).cloned());
    found.is_some_and(|processes| core::ptr::eq(&*processes, directory))
}

/// The names of `/proc`, with those of the processes that there are; `None` for any other directory.
pub fn names_of_processes(process: &Process, directory: &Node, names: &Names) -> Option<Names> {
    if !is_of_processes(process, directory) {
        return None;
    }
    let mut all = names.clone();
    for member in process.family.members(|_| true) {
        let name = alloc::format!("{}", member.number).into_bytes();
        all.insert(name, process.tree.create(super::node::directory(), 0o555));
    }
    Some(all)
}

/// Follows `path` from `start`, which is the path of a directory as a list of directories, the root first. `follow` says whether
/// a symbolic link as the last name is followed.
pub fn look_up(process: &Process, start: &[Rc<Node>], path: &[u8], follow: bool) -> Result<Place> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let mut above: Vec<Rc<Node>> = match path.first() {
        Some(b'/') => alloc::vec![process.root.clone()],
        _ => start.to_vec(),
    };
    let mut rest: Vec<Vec<u8>> = components(path).rev().collect();
    let mut links = 0;
    while let Some(name) = rest.pop() {
        let here = above.last().ok_or(Errno::ENOENT)?.clone();
        if !here.is_directory() {
            return Err(Errno::ENOTDIR);
        }
        process.credentials.check(&here, EXECUTE)?;
        if name == b"." {
            continue;
        }
        if name == b".." {
            if above.len() > 1 && !Rc::ptr_eq(&here, &process.root) {
                above.pop();
            }
            continue;
        }
        let mut found = find(process, &above, &here, &name)?;
        let is_last = rest.is_empty();
        if follow || !is_last || path.ends_with(b"/") {
            let target = match found.as_ref().map(|node| &node.content) {
                Some(Content::Link(target)) => Some(Target::Path(target.clone())),
                Some(Content::Report(report)) if report.is_link() => Some(report.target(process)?),
                _ => None,
            };
            match target {
                Some(Target::Path(target)) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Errno::ELOOP);
                    }
                    if target.first() == Some(&b'/') {
                        above = alloc::vec![process.root.clone()];
                    }
                    rest.extend(components(&target).rev());
                    continue;
                }
                Some(Target::Node(node)) => found = Some(node),
                None => {}
            }
        }
        if is_last {
            if path.ends_with(b"/") && !matches!(&found, Some(node) if node.is_directory()) {
                return Err(found.map_or(Errno::ENOENT, |_| Errno::ENOTDIR));
            }
            return Ok(Place {
                above,
                name,
                last_is_dot: false,
                node: found,
            });
        }
        above.push(found.ok_or(Errno::ENOENT)?);
    }
    Ok(Place {
        node: above.last().cloned(),
        above,
        name: Vec::new(),
        last_is_dot: path.ends_with(b"/.") || path == b".",
    })
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
}
