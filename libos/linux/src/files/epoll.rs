//! Sets of open files whose readiness is asked for at once: what `epoll_create` makes.

use alloc::collections::BTreeMap;
use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use linux_raw_sys::general::{
    EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLONESHOT, EPOLLWAKEUP, POLLIN,
};

use super::asker::Asker;
use super::open::OpenFile;
use crate::errno::{Errno, Result};
use crate::wait::WaitQueue;

/// Sets in sets, at most (`EP_MAX_NESTS`, linux, fs/eventpoll.c).
const DEPTH_MAX: u32 = 5;
/// Bits of an entry that are not events.
const MODES: u32 = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP;

/// Events that nobody has to ask for.
const ALWAYS: u32 = EPOLLERR | EPOLLHUP;

/// A file of a set.
#[derive(Debug)]
struct Entry {
    file: Weak<OpenFile>,
    /// Events that are wanted, and how.
    events: Cell<u32>,
    /// What the program wants to be told.
    data: Cell<u64>,
    /// What was ready when the program was told last, and what had happened to the file until then.
    told: Cell<(u32, [u64; 2])>,
}

impl Entry {
    /// The events to tell now.
    fn ready(&self, asker: &Asker) -> u32 {
        let Some(file) = self.file.upgrade() else {
            return 0;
        };
        let events = self.events.get();
        let ready = file.readiness(asker) & events & !MODES;
        let changes = file.changes();
        let (before, seen) = self.told.get();
        if events & EPOLLET == 0 || changes != seen {
            return ready;
        }
        // By edges: only if something is ready that was not.
        if ready & !before == 0 {
            self.told.set((ready, seen));
            return 0;
        }
        ready
    }

    /// Notes that the program is told.
    fn tell(&self, ready: u32) {
        let changes = self.file.upgrade().map(|file| file.changes());
        self.told.set((ready, changes.unwrap_or_default()));
        if self.events.get() & EPOLLONESHOT != 0 {
            // Until it is asked for again.
            self.events.set(self.events.get() & MODES);
        }
    }
}

/// The name of an entry: a descriptor number and what it meant when it was added.
type Key = (u64, usize);

fn key(number: u64, file: &Rc<OpenFile>) -> Key {
    (u64::from(number as u32), Rc::as_ptr(file) as usize)
}

/// A set.
#[derive(Debug)]
pub struct Epoll {
    entries: RefCell<BTreeMap<Key, Entry>>,
    /// Who waits while the set is changed.
    pub changed: Rc<WaitQueue>,
}

impl Default for Epoll {
    fn default() -> Self {
        Self {
            entries: RefCell::default(),
            changed: WaitQueue::new(),
        }
    }
}

impl Epoll {
    /// Adds a file.
    pub fn add(&self, number: u64, file: &Rc<OpenFile>, events: u32, data: u64) -> Result<()> {
        if !file.can_wait() {
            return Err(Errno::EPERM);
        }
        match file.epoll() {
            Some(inner) if core::ptr::eq(inner, self) => return Err(Errno::EINVAL),
            Some(inner) if inner.reaches(self, DEPTH_MAX) => return Err(Errno::ELOOP),
            _ => {}
        }
        self.forget_closed();
        let mut entries = self.entries.borrow_mut();
        if entries.contains_key(&key(number, file)) {
            return Err(Errno::EEXIST);
        }
        let entry = Entry {
            file: Rc::downgrade(file),
            events: Cell::new(events | ALWAYS),
            data: Cell::new(data),
            told: Cell::default(),
        };
        entries.insert(key(number, file), entry);
        drop(entries);
        self.changed.wake_all();
        Ok(())
    }

    /// Changes what is wanted of a file.
    pub fn modify(&self, number: u64, file: &Rc<OpenFile>, events: u32, data: u64) -> Result<()> {
        let entries = self.entries.borrow();
        let entry = entries.get(&key(number, file)).ok_or(Errno::ENOENT)?;
        entry.events.set(events | ALWAYS);
        entry.data.set(data);
        entry.told.take();
        self.changed.wake_all();
        Ok(())
    }

    /// Takes a file out.
    pub fn remove(&self, number: u64, file: &Rc<OpenFile>) -> Result<()> {
        let removed = self.entries.borrow_mut().remove(&key(number, file));
        removed.map(drop).ok_or(Errno::ENOENT)
    }

    fn forget_closed(&self) {
        let is_open = |entry: &Entry| entry.file.strong_count() != 0;
        self.entries.borrow_mut().retain(|_, entry| is_open(entry));
    }

    /// Up to `count` events and what the program wants to be told with them.
    pub fn take(&self, asker: &Asker, count: usize) -> Vec<(u32, u64)> {
        self.forget_closed();
        let entries = self.entries.borrow();
        let ready = entries.values().map(|entry| (entry, entry.ready(asker)));
        let ready = ready.filter(|&(_, ready)| ready != 0).take(count);
        ready
            .map(|(entry, ready)| {
                entry.tell(ready);
                (ready, entry.data.get())
            })
            .collect()
    }

    /// What can be done without waiting: reading, as it were, where a file is ready.
    pub fn readiness(&self, asker: &Asker) -> u32 {
        let entries = self.entries.borrow();
        let is_ready = entries.values().any(|entry| entry.ready(asker) != 0);
        if is_ready { POLLIN } else { 0 }
    }

    /// All queues that tell of changes.
    pub fn queues(&self, asker: &Asker, queues: &mut Vec<Rc<WaitQueue>>) {
        queues.push(self.changed.clone());
        for entry in self.entries.borrow().values() {
            if let Some(file) = entry.file.upgrade() {
                file.queues(asker, queues);
            }
        }
    }

    /// When something may become ready by itself.
    pub fn moment(&self) -> Option<u64> {
        let entries = self.entries.borrow();
        let files = entries.values().filter_map(|entry| entry.file.upgrade());
        files.filter_map(|file| file.moment()).min()
    }

    /// Whether another set is in this one, or in one that is, or nobody can tell.
    fn reaches(&self, other: &Self, depth: u32) -> bool {
        let entries = self.entries.borrow();
        let files = entries.values().filter_map(|entry| entry.file.upgrade());
        files.into_iter().any(|file| {
            file.epoll().is_some_and(|inner| {
                depth == 0 || core::ptr::eq(inner, other) || inner.reaches(other, depth - 1)
            })
        })
    }
}
