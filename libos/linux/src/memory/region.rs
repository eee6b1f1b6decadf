//! One region of a program's memory.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;

use exo_abi::Rights;

use crate::files::node::Node;

/// What is behind a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Pages of the arena, which the program may read and write.
    Arena,
    /// Pages come when they are touched.
    Lazy,
    /// Pages of the program's file.
    Image,
}

/// A run of addresses with one meaning.
#[derive(Debug)]
pub struct Region {
    /// End, exclusive.
    pub end: u64,
    /// What the program may do there.
    pub rights: Rights,
    /// What is behind it.
    pub kind: Kind,
    /// Frame numbers of the pages that have one, by address. The arena knows those of its own.
    pub pages: BTreeMap<u64, u64>,
    /// Whether a first touch may bring a whole block.
    pub is_dense: bool,
    /// Whether it grows down to what is touched below it.
    pub grows_down: bool,
    /// The file that it shows, if it is one.
    pub file: Option<Shown>,
}

/// A file in a region.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The file.
    pub node: Rc<Node>,
    /// The address where the first byte of the file would be.
    pub origin: u64,
    /// Whether what is written there is written to the file.
    pub is_shared: bool,
}

impl Region {
    /// A region in which nothing is mapped.
    pub fn new(end: u64, rights: Rights, kind: Kind) -> Self {
        Self {
            end,
            rights,
            kind,
            pages: BTreeMap::new(),
            is_dense: false,
            grows_down: false,
            file: None,
        }
    }

    /// Cuts the region at `address`; what is above it, if anything.
    pub fn split_off(&mut self, address: u64) -> Option<Self> {
        if address >= self.end {
            return None;
        }
        let upper = Self {
            pages: self.pages.split_off(&address),
            file: self.file.clone(),
            is_dense: self.is_dense,
            ..Self::new(self.end, self.rights, self.kind)
        };
        self.end = address;
        Some(upper)
    }
}
