//! The file system: the root file system, with `/dev`, `/proc` and `/tmp` in it.

use alloc::rc::Rc;
use core::cell::RefCell;

use super::data::Data;
use super::device::Device;
use super::image::ImageDirectory;
use super::node::{Attributes, Content, Node, directory};
use super::report;
use super::root::Index;
use super::store::Store;
use crate::errno::{Errno, Result};
use crate::options::{Options, Root};

/// All nodes.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The root directory.
    pub root: Rc<Node>,
    /// What they share.
    pub store: Rc<Store>,
}

/// What belongs to the superuser.
fn plain(mode: u32, modified: u64) -> Attributes {
    Attributes {
        mode,
        user: 0,
        group: 0,
        modified,
    }
}

impl Tree {
    /// The file system that a program was given.
    pub fn new(options: &Options) -> Result<Self> {
        let store = Rc::new(Store::default());
        store.set_time(options.now);
        let root = match options.root {
            None => Node::new(&store, directory(), plain(0o755, store.now())),
            Some(Root::Image(place)) => ImageDirectory::open(place, &store)?,
            Some(Root::Index(place)) => {
                let index = Index::open(place, options.files, &store)?;
                index.node(0)?.ok_or(Errno::EIO)?
            }
        };
        let tree = Self { root, store };
        tree.populate()?;
        Ok(tree)
    }

    /// A node that has no name yet, the superuser's.
    pub fn create(&self, content: Content, mode: u32) -> Rc<Node> {
        let now = self.store.now();
        Node::new(&self.store, content, plain(mode, now))
    }

    /// An empty regular file.
    pub fn empty_file(&self) -> Content {
        Content::Regular(RefCell::new(Data::new(&self.store)))
    }

    /// Adds what every program finds.
    fn populate(&self) -> Result<()> {
        let devices = self.create(directory(), 0o755);
        for (name, device) in [
            ("null", Device::Null),
            ("zero", Device::Zero),
            ("full", Device::Full),
            ("random", Device::Random),
            ("urandom", Device::Random),
            ("tty", Device::Terminal),
        ] {
            let device = self.create(Content::Device(device), 0o666);
            devices.insert(name.as_bytes(), device);
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ] {
            let target = Content::Link(target.as_bytes().to_vec());
            devices.insert(name.as_bytes(), self.create(target, 0o777));
        }
        self.root.insert(b"dev", devices);
        let processes = self.create(directory(), 0o555);
        report::populate(self, &processes);
        self.root.insert(b"proc", processes);
        if !self.root.names()?.borrow().contains_key(&b"tmp"[..]) {
            let temporary = self.create(directory(), 0o1777);
            self.root.insert(b"tmp", temporary);
        }
        Ok(())
    }
}
