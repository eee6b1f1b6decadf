//! The root file system that the VMM shows in the attached blocks: an index of host files, or an ext4 image.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec;
use core::cell::RefCell;

use exo_abi::file_index::{INDEX_MAGIC, IndexEntry, IndexHeader, IndexNode, UNREADABLE};
use exo_rt::program_memory;
use linux_raw_sys::general::{S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};

use super::data::{Base, Data, Source};
use super::device::Device;
use super::image::ImageDirectory;
use super::node::{Attributes, Content, Directory, Names, Node};
use super::store::Store;
use crate::errno::{Errno, Result};
use crate::memory::attached;
use crate::options::Attachment;

/// Where the names of a directory come from.
#[derive(Debug)]
pub enum Origin {
    /// This node of the index.
    Index(Rc<Index>, u32),
    /// A directory of the image.
    Image(ImageDirectory),
}

impl Origin {
    /// Reads the names.
    pub fn read(self) -> Result<Names> {
        match self {
            Self::Index(index, number) => index.names(number),
            Self::Image(directory) => directory.names(),
        }
    }
}

/// An index in memory.
#[derive(Debug)]
pub struct Index {
    store: Rc<Store>,
    /// Physical address of the attached blocks.
    files: u64,
    /// Physical addresses of nodes, entries and names.
    nodes: u64,
    entries: u64,
    names: u64,
    header: IndexHeader,
    /// Nodes that have several names, by number.
    linked: RefCell<BTreeMap<u32, Rc<Node>>>,
}

/// The fields of a structure of the index: it is all 32-bit and 64-bit numbers.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn word(&mut self) -> u64 {
        let (word, rest) = self.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
        self.0 = rest;
        u64::from_le_bytes(*word)
    }

    fn half(&mut self) -> u32 {
        let (half, rest) = self.0.split_first_chunk().unwrap_or((&[0; 4], &[]));
        self.0 = rest;
        u32::from_le_bytes(*half)
    }
}

/// Reads bytes of attached blocks.
fn read(physical: u64, bytes: usize) -> Result<vec::Vec<u8>> {
    let mut buffer = vec![0; bytes];
    program_memory::read(attached::view(physical), &mut buffer)?;
    Ok(buffer)
}

/// A file that the host does not let its user read.
struct Unreadable;

impl Source for Unreadable {
    fn read(&mut self, _: u64, _: u64, _: u64) -> Result<()> {
        Err(Errno::EACCES)
    }
}

impl Index {
    /// The index at a place; `files` is where the attached blocks start.
    pub fn open(place: Attachment, files: u64, store: &Rc<Store>) -> Result<Rc<Self>> {
        let bytes = read(place.physical, size_of::<IndexHeader>())?;
        let mut fields = Fields(&bytes);
        let header = IndexHeader {
            magic: fields.word(),
            nodes: fields.half(),
            entries: fields.half(),
            names: fields.word(),
        };
        if header.magic != INDEX_MAGIC {
            return Err(Errno::EINVAL);
        }
        let nodes = place.physical + size_of::<IndexHeader>() as u64;
        let entries = nodes + u64::from(header.nodes) * size_of::<IndexNode>() as u64;
        Ok(Rc::new(Self {
            store: store.clone(),
            files,
            nodes,
            entries,
            names: entries + u64::from(header.entries) * size_of::<IndexEntry>() as u64,
            header,
            linked: RefCell::default(),
        }))
    }

    fn read_node(&self, number: u32) -> Result<IndexNode> {
        if number >= self.header.nodes {
            return Err(Errno::EIO);
        }
        let size = size_of::<IndexNode>();
        let bytes = read(self.nodes + u64::from(number) * size as u64, size)?;
        let mut fields = Fields(&bytes);
        Ok(IndexNode {
            mode: fields.half(),
            links: fields.half(),
            user: fields.half(),
            group: fields.half(),
            modified: fields.word(),
            data: fields.word(),
            size: fields.word(),
        })
    }

    fn name(&self, start: u64, bytes: u64) -> Result<vec::Vec<u8>> {
        let end = start.checked_add(bytes);
        if end.is_none_or(|end| end > self.header.names) {
            return Err(Errno::EIO);
        }
        read(self.names + start, bytes as usize)
    }

    /// A node, as the tree keeps it; `None` for a device that there is not.
    pub fn node(self: &Rc<Self>, number: u32) -> Result<Option<Rc<Node>>> {
        if let Some(node) = self.linked.borrow().get(&number) {
            return Ok(Some(node.clone()));
        }
        let found = self.read_node(number)?;
        let content = match found.mode & S_IFMT {
            S_IFDIR => Content::Directory(Directory::of(Origin::Index(self.clone(), number))),
            S_IFLNK => Content::Link(self.name(found.data, found.size)?),
            S_IFREG => {
                let base = match found.data {
                    UNREADABLE => Base::Source(RefCell::new(Box::new(Unreadable))),
                    data => Base::Attached(self.files + data),
                };
                Content::Regular(RefCell::new(Data::over(&self.store, base, found.size)))
            }
            S_IFCHR => match Device::with_number(found.data) {
                Some(device) => Content::Device(device),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        let attributes = Attributes {
            mode: found.mode & !S_IFMT,
            user: found.user,
            group: found.group,
            modified: found.modified,
        };
        let node = Node::new(&self.store, content, attributes);
        node.links.set(found.links);
        if found.links > 1 {
            self.linked.borrow_mut().insert(number, node.clone());
        }
        Ok(Some(node))
    }

    /// The names of a directory.
    fn names(self: &Rc<Self>, number: u32) -> Result<Names> {
        let directory = self.read_node(number)?;
        let end = directory.data.checked_add(directory.size);
        if end.is_none_or(|end| end > u64::from(self.header.entries)) {
            return Err(Errno::EIO);
        }
        let size = size_of::<IndexEntry>();
        let bytes = read(
            self.entries + directory.data * size as u64,
            directory.size as usize * size,
        )?;
        let mut names = Names::new();
        for entry in bytes.chunks_exact(size) {
            let mut fields = Fields(entry);
            let entry = IndexEntry {
                node: fields.half(),
                name_bytes: fields.half(),
                name: fields.word(),
            };
            if let Some(node) = self.node(entry.node)? {
                names.insert(self.name(entry.name, u64::from(entry.name_bytes))?, node);
            }
        }
        Ok(names)
    }
}
