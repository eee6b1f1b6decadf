//! Locks on parts of files: those of processes (`fcntl`), and those of open files (`flock`, and `fcntl` too).

use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Range;

use super::open::OpenFile;
use crate::wait::WaitQueue;

/// Who holds a lock.
#[derive(Clone, Debug)]
pub enum Owner {
    /// A process, by number.
    Process(u32),
    /// An open file, as long as that is open.
    File(Weak<OpenFile>),
}

impl Owner {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Process(one), Self::Process(other)) => one == other,
            (Self::File(one), Self::File(other)) => one.ptr_eq(other),
            _ => false,
        }
    }

    fn is_there(&self) -> bool {
        match self {
            Self::Process(_) => true,
            Self::File(file) => file.strong_count() != 0,
        }
    }
}

/// A lock on bytes of a file.
#[derive(Clone, Debug)]
pub struct Lock {
    /// The bytes.
    pub range: Range<u64>,
    /// Whether nobody else may have one there; else all may have one that is not exclusive.
    pub is_exclusive: bool,
    /// Whose it is.
    pub owner: Owner,
    /// Locks of `flock` do not meet those of `fcntl`.
    pub is_whole: bool,
}

/// The locks of all files.
#[derive(Debug, Default)]
pub struct Locks {
    /// By number of the file's node.
    files: RefCell<BTreeMap<u64, Vec<Lock>>>,
    /// Who waits for one.
    pub released: Rc<WaitQueue>,
}

impl Locks {
    /// A lock of somebody else that keeps `wanted` from being had.
    pub fn conflict(&self, node: u64, wanted: &Lock) -> Option<Lock> {
        let files = self.files.borrow();
        let found = files.get(&node)?.iter().find(|lock| {
            lock.owner.is_there()
                && lock.is_whole == wanted.is_whole
                && !lock.owner.is(&wanted.owner)
                && (lock.is_exclusive || wanted.is_exclusive)
                && lock.range.start < wanted.range.end
                && wanted.range.start < lock.range.end
        });
        found.cloned()
    }

    /// Gives `lock` to its owner, in place of what that has there.
    pub fn set(&self, node: u64, lock: Lock) {
        self.clear(node, &lock);
        self.files.borrow_mut().entry(node).or_default().push(lock);
    }

    /// Takes what the owner has in the range of `lock`.
    pub fn clear(&self, node: u64, lock: &Lock) {
        let mut files = self.files.borrow_mut();
        let Some(locks) = files.get_mut(&node) else {
            return;
        };
        let mut left = Vec::new();
        for other in locks.drain(..).filter(|other| other.owner.is_there()) {
            if other.is_whole != lock.is_whole || !other.owner.is(&lock.owner) {
                left.push(other);
                continue;
            }
            for range in [
                other.range.start..other.range.end.min(lock.range.start),
                other.range.start.max(lock.range.end)..other.range.end,
            ] {
                if !range.is_empty() {
                    left.push(Lock {
                        range,
                        ..other.clone()
                    });
                }
            }
        }
        *locks = left;
        if locks.is_empty() {
            files.remove(&node);
        }
        drop(files);
        self.released.wake_all();
    }

    /// Takes all locks of a process on a file: it has closed a descriptor of it.
    pub fn release(&self, node: u64, process: u32) {
        if self.files.borrow().contains_key(&node) {
            let all = Lock {
                range: 0..u64::MAX,
                is_exclusive: false,
                owner: Owner::Process(process),
                is_whole: false,
            };
            self.clear(node, &all);
        }
    }

    /// Takes all locks of a process: it has ended.
    pub fn release_all(&self, process: u32) {
        let nodes: Vec<u64> = self.files.borrow().keys().copied().collect();
        for node in nodes {
            self.release(node, process);
        }
    }
}
