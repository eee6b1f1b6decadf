//! Nodes of the file system: files, directories, links and devices, in memory.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use linux_raw_sys::general::{S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK};

use super::console::{Console, Stream};
use super::counter::Counter;
use super::data::Data;
use super::device::Device;
use super::epoll::Epoll;
use super::pipe::Pipe;
use super::report::Report;
use super::root::Origin;
use super::signals::Signals;
use super::socket::Socket;
use super::store::Store;
use super::terminal::Terminal;
use super::timer::Timer;
use crate::errno::{Errno, Result};

/// The names of a directory.
pub type Names = BTreeMap<Vec<u8>, Rc<Node>>;

/// What a node is.
#[derive(Debug)]
pub enum Content {
    /// Bytes.
    Regular(RefCell<Data>),
    /// Names.
    Directory(Directory),
    /// A path.
    Link(Vec<u8>),
    /// No data of its own.
    Device(Device),
    /// A stream to or from the outside.
    Stream(Stream, Rc<Console>),
    /// A terminal.
    Terminal(Rc<Terminal>),
    /// Bytes from those who write to those who read.
    Pipe(Pipe),
    /// One of two sockets.
    Socket(Socket),
    /// What `eventfd` makes.
    Counter(Counter),
    /// What `timerfd_create` makes.
    Timer(Timer),
    /// What `signalfd` makes.
    Signals(Signals),
    /// What `epoll_create` makes.
    Epoll(Epoll),
    /// Text that is made when it is opened, or a path that is made when it is followed.
    Report(Report),
}

/// A directory. Names of the root file system come when somebody asks for them.
#[derive(Debug, Default)]
pub struct Directory {
    names: RefCell<Names>,
    origin: RefCell<Option<Origin>>,
}

/// Owner and permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Last change of the contents, in nanoseconds since 1970.
    pub modified: u64,
}

/// A file, directory, symbolic link or device.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// Number, unlike that of any other node.
    pub number: u64,
    /// Owner, permissions, last change of the contents.
    pub attributes: Cell<Attributes>,
    /// Names that it has.
    pub links: Cell<u32>,
    /// Last use, in nanoseconds since 1970.
    pub accessed: Cell<u64>,
    /// Last change of anything.
    pub changed: Cell<u64>,
}

/// An empty directory.
pub fn directory() -> Content {
    Content::Directory(Directory::default())
}

impl Directory {
    /// A directory of the root file system.
    pub fn of(origin: Origin) -> Self {
        Self {
            names: RefCell::default(),
            origin: RefCell::new(Some(origin)),
        }
    }

    fn names(&self) -> &RefCell<Names> {
        let origin = self.origin.take();
        if let Some(origin) = origin {
            // What cannot be read is not there.
            let names = origin.read().unwrap_or_default();
            self.names.replace(names);
        }
        &self.names
    }
}

impl Node {
    /// A node that has no name yet.
    pub fn new(store: &Store, content: Content, attributes: Attributes) -> Rc<Self> {
        Rc::new(Self {
            content,
            number: store.number(),
            attributes: Cell::new(attributes),
            links: Cell::new(1),
            accessed: Cell::new(attributes.modified),
            changed: Cell::new(attributes.modified),
        })
    }

    /// The names of a directory.
    pub fn names(&self) -> Result<&RefCell<Names>> {
        match &self.content {
            Content::Directory(directory) => Ok(directory.names()),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        matches!(self.content, Content::Directory(_))
    }

    /// The contents of a regular file.
    pub fn data(&self) -> Result<&RefCell<Data>> {
        match &self.content {
            Content::Regular(data) => Ok(data),
            Content::Directory(_) => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Gives a node a name in this directory, in place of what had it.
    pub fn insert(&self, name: &[u8], node: Rc<Self>) {
        if let Ok(names) = self.names() {
            names.borrow_mut().insert(name.to_vec(), node);
        }
    }

    /// Bytes, as `stat` shows them.
    pub fn size(&self) -> u64 {
        match &self.content {
            Content::Regular(data) => data.borrow().size(),
            Content::Link(target) => target.len() as u64,
            _ => 0,
        }
    }

    /// Type, as in `st_mode`.
    pub fn kind(&self) -> u32 {
        match &self.content {
            Content::Regular(_) => S_IFREG,
            Content::Directory(_) => S_IFDIR,
            Content::Link(_) => S_IFLNK,
            Content::Device(Device::Absent(true, _)) => S_IFBLK,
            Content::Device(_) | Content::Terminal(_) => S_IFCHR,
            Content::Pipe(_) | Content::Stream(..) => S_IFIFO,
            Content::Socket(_) => S_IFSOCK,
            // Files without a name are of no type.
            Content::Counter(_) | Content::Timer(_) | Content::Signals(_) | Content::Epoll(_) => 0,
            Content::Report(report) if report.is_link() => S_IFLNK,
            Content::Report(_) => S_IFREG,
        }
    }

    /// Type and permissions.
    pub fn mode(&self) -> u32 {
        self.kind() | self.attributes.get().mode
    }

    /// Names that `stat` shows: a directory has one more for itself, and one for each directory in it.
    pub fn link_count(&self) -> u32 {
        match &self.content {
            Content::Directory(directory) => {
                let names = directory.names().borrow();
                2 + names.values().filter(|node| node.is_directory()).count() as u32
            }
            _ => self.links.get(),
        }
    }

    /// Notes a change of the contents.
    pub fn touch(&self, time: u64) {
        let attributes = self.attributes.get();
        self.attributes.set(Attributes {
            modified: time,
            ..attributes
        });
        self.changed.set(time);
    }
}
