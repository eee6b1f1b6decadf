//! The file system: a tree in memory.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::console::{Console, Stream};
use super::counter::Counter;
use super::device::Device;
use super::epoll::Epoll;
use super::pipe::Pipe;
use super::signals::Signals;
use super::socket::Socket;
use super::terminal::Terminal;
use super::timer::Timer;
use crate::errno::{Errno, Result};

/// What a node is.
#[derive(Debug)]
pub enum Content {
    /// Bytes.
    Regular(RefCell<Vec<u8>>),
    /// Names.
    Directory(RefCell<BTreeMap<Vec<u8>, Rc<Node>>>),
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
}

/// A file, directory, symbolic link or device.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// Permission bits.
    pub mode: Cell<u32>,
    /// Number, unlike that of any other node.
    pub number: u64,
    /// Names that it has.
    pub links: Cell<u32>,
    /// Last change, in nanoseconds since 1970.
    pub modified: Cell<u64>,
}

/// Creates nodes with numbers of their own.
#[derive(Debug)]
pub struct Tree {
    /// The root directory.
    pub root: Rc<Node>,
    next: Cell<u64>,
}

impl Default for Tree {
    fn default() -> Self {
        let tree = Self {
            root: node(directory(), 0o755, 1),
            next: Cell::new(2),
        };
        tree.populate();
        tree
    }
}

/// An empty directory.
pub fn directory() -> Content {
    Content::Directory(RefCell::default())
}

fn node(content: Content, mode: u32, number: u64) -> Rc<Node> {
    Rc::new(Node {
        content,
        mode: Cell::new(mode),
        number,
        links: Cell::new(1),
        modified: Cell::new(0),
    })
}

impl Tree {
    /// A node that has no name yet.
    pub fn create(&self, content: Content, mode: u32) -> Rc<Node> {
        let number = self.next.get();
        self.next.set(number + 1);
        node(content, mode, number)
    }

    /// What every program finds.
    fn populate(&self) {
        let devices = self.create(directory(), 0o755);
        for (name, device) in [
            ("null", Device::Null),
            ("zero", Device::Zero),
            ("random", Device::Random),
            ("urandom", Device::Random),
            ("tty", Device::Terminal),
        ] {
            let device = self.create(Content::Device(device), 0o666);
            devices.insert(name.as_bytes(), device);
        }
        self.root.insert(b"dev", devices);
        let temporary = self.create(directory(), 0o1777);
        self.root.insert(b"tmp", temporary);
    }
}

impl Node {
    /// The names of a directory.
    pub fn names(&self) -> Result<&RefCell<BTreeMap<Vec<u8>, Rc<Self>>>> {
        match &self.content {
            Content::Directory(names) => Ok(names),
            _ => Err(Errno::ENOTDIR),
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
            Content::Regular(bytes) => bytes.borrow().len() as u64,
            Content::Link(target) => target.len() as u64,
            _ => 0,
        }
    }
}
