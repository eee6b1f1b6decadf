//! The index of a root file system, as it is made.

use std::collections::BTreeMap;

use exo_abi::file_index::{INDEX_MAGIC, IndexEntry, IndexHeader, IndexNode};
use vm_memory::ByteValued;

use crate::memory::Plain;

/// Attributes of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Permissions.
    pub permissions: u32,
    pub user: u32,
    pub group: u32,
    /// Nanoseconds since 1970.
    pub modified: u64,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Where in the attached blocks, and how many bytes.
    Regular(u64, u64),
    Directory(BTreeMap<Vec<u8>, usize>),
    Link(Vec<u8>),
    /// Type and number, as in `st_mode` and `st_rdev`.
    Device(u32, u64),
}

#[derive(Debug)]
struct Node {
    attributes: Attributes,
    content: Content,
    links: u32,
}

/// The tree; number 0 is the root directory.
#[derive(Debug)]
pub(super) struct Index(Vec<Node>);

/// Attributes of a directory of which nothing is known.
const UNKNOWN: Attributes = Attributes {
    permissions: 0o755,
    user: 0,
    group: 0,
    modified: 0,
};

impl Index {
    /// An empty root directory.
    pub fn new() -> Self {
        let mut index = Self(Vec::new());
        index.add(UNKNOWN, Content::Directory(BTreeMap::new()));
        index
    }

    /// Adds a node that has no name yet.
    pub fn add(&mut self, attributes: Attributes, content: Content) -> usize {
        self.0.push(Node {
            attributes,
            content,
            links: 0,
        });
        self.0.len() - 1
    }

    /// Changes the attributes of a node.
    pub fn set_attributes(&mut self, number: usize, attributes: Attributes) {
        if let Some(node) = self.0.get_mut(number) {
            node.attributes = attributes;
        }
    }

    /// Gives a node a name in a directory, in place of what had it. False where that is no directory.
    pub fn link(&mut self, directory: usize, name: &[u8], number: usize) -> bool {
        let Some(Content::Directory(names)) =
            self.0.get_mut(directory).map(|node| &mut node.content)
        else {
            return false;
        };
        let replaced = names.insert(name.to_vec(), number);
        if let Some(node) = replaced.and_then(|replaced| self.0.get_mut(replaced)) {
            node.links = node.links.saturating_sub(1);
        }
        if let Some(node) = self.0.get_mut(number) {
            node.links += 1;
        }
        true
    }

    /// What has a name in a directory.
    pub fn find(&self, directory: usize, name: &[u8]) -> Option<usize> {
        match &self.0.get(directory)?.content {
            Content::Directory(names) => names.get(name).copied(),
            Content::Regular(..) | Content::Link(_) | Content::Device(..) => None,
        }
    }

    /// Whether a node is a directory.
    pub fn is_directory(&self, number: usize) -> bool {
        matches!(self.0.get(number), Some(node) if matches!(node.content, Content::Directory(_)))
    }

    /// The directory with this name, made where there is none.
    pub fn subdirectory(&mut self, directory: usize, name: &[u8]) -> usize {
        match self.find(directory, name) {
            Some(found) if self.is_directory(found) => found,
            _ => {
                let made = self.add(UNKNOWN, Content::Directory(BTreeMap::new()));
                self.link(directory, name, made);
                made
            }
        }
    }

    /// Calls `visit` with path, mode, links and size of everything, in the order of paths.
    #[cfg(test)]
    pub fn for_each(&self, visit: &mut dyn FnMut(&str, u32, u32, u64)) {
        self.visit(0, "", visit);
    }

    #[cfg(test)]
    fn visit(&self, number: usize, path: &str, visit: &mut dyn FnMut(&str, u32, u32, u64)) {
        let node = &self.0[number];
        let (kind, size) = match &node.content {
            Content::Regular(_, bytes) => (libc::S_IFREG, *bytes),
            Content::Link(target) => (libc::S_IFLNK, target.len() as u64),
            Content::Device(kind, _) => (*kind, 0),
            Content::Directory(names) => (libc::S_IFDIR, names.len() as u64),
        };
        visit(path, kind | node.attributes.permissions, node.links, size);
        if let Content::Directory(names) = &node.content {
            for (name, &number) in names {
                let path = format!("{path}/{}", String::from_utf8_lossy(name));
                self.visit(number, &path, visit);
            }
        }
    }

    /// The index as the personality reads it.
    pub fn encode(&self) -> Vec<u8> {
        let mut names = Vec::new();
        let mut nodes = Vec::new();
        let mut entries = Vec::new();
        for node in &self.0 {
            let (kind, data, size) = match &node.content {
                Content::Regular(data, bytes) => (libc::S_IFREG, *data, *bytes),
                Content::Link(target) => {
                    let start = names.len() as u64;
                    names.extend_from_slice(target);
                    (libc::S_IFLNK, start, target.len() as u64)
                }
                Content::Device(kind, number) => (*kind, *number, 0),
                Content::Directory(children) => {
                    let first = entries.len() as u64;
                    for (name, number) in children {
                        entries.push(IndexEntry {
                            node: *number as u32,
                            name_bytes: name.len() as u32,
                            name: names.len() as u64,
                        });
                        names.extend_from_slice(name);
                    }
                    (libc::S_IFDIR, first, children.len() as u64)
                }
            };
            nodes.push(IndexNode {
                mode: kind | node.attributes.permissions,
                links: node.links,
                user: node.attributes.user,
                group: node.attributes.group,
                modified: node.attributes.modified,
                data,
                size,
            });
        }
        let header = IndexHeader {
            magic: INDEX_MAGIC,
            nodes: nodes.len() as u32,
            entries: entries.len() as u32,
            names: names.len() as u64,
        };
        let mut bytes = Plain(header).as_slice().to_vec();
        nodes
            .into_iter()
            .for_each(|node| bytes.extend_from_slice(Plain(node).as_slice()));
        entries
            .into_iter()
            .for_each(|entry| bytes.extend_from_slice(Plain(entry).as_slice()));
        bytes.extend(names);
        bytes
    }
}
