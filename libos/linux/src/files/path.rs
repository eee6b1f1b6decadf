//! From a path to a node.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::node::{Content, Node, Tree};
use crate::errno::{Errno, Result};

/// Symbolic links that one look-up follows at most, as under Linux.
const LINKS_MAX: u32 = 40;
/// Bytes that a path may have, its end included.
pub const PATH_MAX: usize = 4096;

/// Where a path leads.
#[derive(Debug)]
pub struct Place {
    /// The directories from the root down to that of the last name.
    pub above: Vec<Rc<Node>>,
    /// The last name; empty where the path names `/` or ends in `.` or `..`.
    pub name: Vec<u8>,
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
    pub fn found(self) -> Result<Rc<Node>> {
        self.node.ok_or(Errno::ENOENT)
    }
}

impl Tree {
    /// Follows `path` from `start`, which is the path of a directory as a list of directories, the root first. `follow` says whether
    /// a symbolic link as the last name is followed.
    pub fn look_up(&self, start: &[Rc<Node>], path: &[u8], follow: bool) -> Result<Place> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        let mut above: Vec<Rc<Node>> = match path.first() {
            Some(b'/') => alloc::vec![self.root.clone()],
            _ => start.to_vec(),
        };
        let mut rest: Vec<Vec<u8>> = components(path).rev().collect();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            let here = above.last().ok_or(Errno::ENOENT)?.clone();
            let names = here.names()?;
            if name == b"." {
                continue;
            }
            if name == b".." {
                if above.len() > 1 {
                    above.pop();
                }
                continue;
            }
            let found = names.borrow().get(&name).cloned();
            let is_last = rest.is_empty();
            match found.as_ref().map(|node| &node.content) {
                Some(Content::Link(target)) if follow || !is_last => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Errno::ELOOP);
                    }
                    if target.first() == Some(&b'/') {
                        above.truncate(1);
                    }
                    rest.extend(components(target).rev());
                }
                _ if is_last => {
                    if path.ends_with(b"/") && !matches!(&found, Some(node) if node.names().is_ok())
                    {
                        return Err(found.map_or(Errno::ENOENT, |_| Errno::ENOTDIR));
                    }
                    return Ok(Place {
                        above,
                        name,
                        node: found,
                    });
                }
                _ => above.push(found.ok_or(Errno::ENOENT)?),
            }
        }
        Ok(Place {
            node: above.last().cloned(),
            above,
            name: Vec::new(),
        })
    }
}

/// The names of a path.
fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
}
