//! Pipes: bytes in order from those who write to those who read. Each direction of a socket is one too.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use linux_raw_sys::general::{POLLERR, POLLHUP, POLLIN, POLLOUT};

use crate::calls::program::Buffer;
use crate::errno::{Errno, Result};
use crate::wait::{self, Wait, WaitQueue};

/// Bytes that a pipe holds at first (pipe(7)).
pub const CAPACITY: usize = 64 << 10;
/// Bytes that it can be made to hold.
pub const CAPACITY_MAX: usize = 1 << 20;
/// Writes of no more bytes than this are not mixed with others (`PIPE_BUF`).
pub const ATOMIC_BYTES: usize = 4096;

/// How an end of a pipe is used.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// Never wait.
    pub now: bool,
    /// Leave what is read where it is.
    pub peek: bool,
}

/// A pipe.
#[derive(Debug)]
pub struct Pipe {
    ring: RefCell<Ring>,
    /// Open files that read from it, and that write to it.
    readers: Cell<u32>,
    writers: Cell<u32>,
    /// Whether each write is read by itself.
    messages: Option<RefCell<VecDeque<usize>>>,
    /// How often something was put in, or taken out: for who wants to know of changes.
    pub fillings: Cell<u64>,
    /// The same of what was taken out.
    pub drainings: Cell<u64>,
    /// Who waits for bytes.
    pub readable: Rc<WaitQueue>,
    /// Who waits for room.
    pub writable: Rc<WaitQueue>,
    /// Those who open it by its name to read, and wait for somebody who writes; and the other way round.
    opening: [Rc<WaitQueue>; 2],
    /// How often it was opened to read, and to write.
    openings: [Cell<u64>; 2],
    /// Those who were woken from opening it, and have not gone on yet.
    promised: [Cell<u64>; 2],
}

/// Index of who reads, and of who writes, in `opening` and `openings`.
const READS: usize = 0;
const WRITES: usize = 1;

/// Bytes in a ring, which is made when the first come.
#[derive(Debug)]
struct Ring {
    bytes: Vec<u8>,
    start: usize,
    used: usize,
    capacity: usize,
}

impl Ring {
    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.used)
    }

    /// Gives the ring this capacity, in order from its start.
    fn resize(&mut self, capacity: usize) -> Result<()> {
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(capacity)
            .map_err(|_| Errno::ENOMEM)?;
        let (first, second) = self.pieces();
        bytes.extend_from_slice(first);
        bytes.extend_from_slice(second);
        bytes.resize(capacity, 0);
        self.bytes = bytes;
        self.start = 0;
        self.capacity = capacity;
        Ok(())
    }

    /// What it holds, in two pieces.
    fn pieces(&self) -> (&[u8], &[u8]) {
        let end = (self.start + self.used).min(self.bytes.len());
        let first = self.bytes.get(self.start..end).unwrap_or_default();
        let second = self.bytes.get(..self.used - first.len());
        (first, second.unwrap_or_default())
    }

    /// Takes up to `bytes` bytes of a buffer.
    fn fill(&mut self, buffer: &mut Buffer, bytes: usize) -> Result<()> {
        if self.bytes.len() != self.capacity {
            self.resize(self.capacity)?;
        }
        let mut left = bytes.min(self.room());
        while left != 0 {
            let place = (self.start + self.used) % self.capacity;
            let end = self.capacity.min(place + left);
            let taken = buffer.take(self.bytes.get_mut(place..end).unwrap_or_default())?;
            if taken == 0 {
                break;
            }
            self.used += taken;
            left -= taken;
        }
        Ok(())
    }

    /// Gives up to `bytes` bytes to a buffer; how many.
    fn copy(&self, buffer: &mut Buffer, bytes: usize) -> Result<usize> {
        let (first, second) = self.pieces();
        let first = first.get(..bytes.min(first.len())).unwrap_or_default();
        let second = second
            .get(..(bytes - first.len()).min(second.len()))
            .unwrap_or_default();
        Ok(buffer.put(first)? + buffer.put(second)?)
    }

    fn discard(&mut self, bytes: usize) {
        self.used -= bytes;
        self.start = match self.used {
            // From the start on there is most room in one piece.
            0 => 0,
            _ => (self.start + bytes) % self.capacity,
        };
    }
}

impl Pipe {
    /// An empty pipe that nobody has open.
    pub fn new(messages: bool) -> Self {
        Self {
            ring: RefCell::new(Ring {
                bytes: Vec::new(),
                start: 0,
                used: 0,
                capacity: CAPACITY,
            }),
            readers: Cell::new(0),
            writers: Cell::new(0),
            messages: messages.then(RefCell::default),
            fillings: Cell::new(0),
            drainings: Cell::new(0),
            readable: WaitQueue::new(),
            writable: WaitQueue::new(),
            opening: [WaitQueue::new(), WaitQueue::new()],
            openings: [Cell::new(0), Cell::new(0)],
            promised: [Cell::new(0), Cell::new(0)],
        }
    }

    /// Somebody more reads or writes.
    pub fn open(&self, reads: bool, writes: bool) {
        self.readers.set(self.readers.get() + u32::from(reads));
        self.writers.set(self.writers.get() + u32::from(writes));
        for (side, opens) in [(READS, reads), (WRITES, writes)] {
            if opens {
                self.openings[side].set(self.openings[side].get() + 1);
                // They are peers from now on, though they have to do their calls again first.
                let woken = self.opening[1 - side].wake(u64::MAX, |_| true);
                self.promised[1 - side].set(self.promised[1 - side].get() + woken);
            }
        }
    }

    /// Has whoever opens it by its name, to read or to write, wait until somebody does the other thing, or opens it for that too (Linux man
    /// page fifo(7)). `waited` is what an earlier try of the same call noted.
    pub fn await_peer(&self, reads: bool, waited: Option<u64>) -> core::result::Result<(), Wait> {
        let (side, peers) = match reads {
            true => (READS, self.writers.get()),
            false => (WRITES, self.readers.get()),
        };
        let openings = self.openings[1 - side].get();
        let has_opened = waited.is_some_and(|before| before != openings);
        if has_opened {
            let promised = &self.promised[side];
            promised.set(promised.get().saturating_sub(1));
        }
        if peers != 0 || has_opened || !self.opening[1 - side].is_empty() {
            return Ok(());
        }
        let mut wait = Wait::queue(&self.opening[side]);
        wait.moved = waited.unwrap_or(openings);
        Err(wait)
    }

    /// Whether somebody reads.
    pub fn has_readers(&self) -> bool {
        self.readers.get() != 0 || self.promised[READS].get() != 0
    }

    /// Somebody reads or writes no more.
    pub fn close(&self, reads: bool, writes: bool) {
        self.readers.set(self.readers.get() - u32::from(reads));
        self.writers.set(self.writers.get() - u32::from(writes));
        self.readable.wake_all();
        self.writable.wake_all();
    }

    /// Whether nobody will put anything in any more.
    fn has_ended(&self) -> bool {
        self.writers.get() == 0 && self.promised[WRITES].get() == 0
    }

    /// Bytes that can be read.
    pub fn available(&self) -> usize {
        match &self.messages {
            Some(messages) => messages.borrow().front().copied().unwrap_or(0),
            None => self.ring.borrow().used,
        }
    }

    /// Whether a read would give something: bytes, or a message, be it empty.
    fn has_something(&self) -> bool {
        match &self.messages {
            Some(messages) => !messages.borrow().is_empty(),
            None => self.ring.borrow().used != 0,
        }
    }

    /// Bytes that it holds at most.
    pub fn capacity(&self) -> usize {
        self.ring.borrow().capacity
    }

    /// Makes it hold so many bytes.
    pub fn set_capacity(&self, bytes: usize) -> Result<()> {
        let mut ring = self.ring.borrow_mut();
        if bytes < ring.used {
            return Err(Errno::EBUSY);
        }
        ring.resize(bytes)?;
        drop(ring);
        self.writable.wake_all();
        Ok(())
    }

    /// Reads what is there, or waits for it; nothing at the end. Says how long the message was, where there are messages.
    pub fn read(&self, buffer: &mut Buffer, how: Use) -> wait::Result<usize> {
        if buffer.left() == 0 && self.messages.is_none() {
            return Ok(0);
        }
        if !self.has_something() {
            return match (self.has_ended(), how.now) {
                (true, _) => Ok(0),
                (false, true) => Err(Errno::EAGAIN.into()),
                (false, false) => Err(buffer.wait(&self.readable)),
            };
        }
        let length = self.available();
        let mut ring = self.ring.borrow_mut();
        let copied = ring.copy(buffer, length)?;
        if !how.peek {
            match &self.messages {
                Some(messages) => {
                    messages.borrow_mut().pop_front();
                    ring.discard(length);
                }
                None => ring.discard(copied),
            }
            drop(ring);
            self.drainings.set(self.drainings.get() + 1);
            self.writable.wake_all();
        }
        Ok(length)
    }

    /// Writes as far as there is room, and waits for more.
    pub fn write(&self, buffer: &mut Buffer, how: Use) -> wait::Result<()> {
        let mut ring = self.ring.borrow_mut();
        let whole = self.messages.is_some();
        if whole && buffer.left() > ring.capacity as u64 {
            return Err(Errno::EMSGSIZE.into());
        }
        if !self.has_readers() {
            return Err(Errno::EPIPE.into());
        }
        let bytes = usize::try_from(buffer.left()).unwrap_or(usize::MAX);
        let at_once = whole || bytes <= ATOMIC_BYTES && buffer.moved() == 0;
        if !at_once || bytes <= ring.room() {
            let before = ring.used;
            ring.fill(buffer, bytes)?;
            if let Some(messages) = &self.messages {
                messages.borrow_mut().push_back(ring.used - before);
            }
            if ring.used != before || whole {
                self.fillings.set(self.fillings.get() + 1);
                self.readable.wake_all();
            }
        }
        match (buffer.left(), how.now) {
            (0, _) => Ok(()),
            (_, true) if buffer.moved() != 0 => Ok(()),
            (_, true) => Err(Errno::EAGAIN.into()),
            (_, false) => Err(buffer.wait(&self.writable)),
        }
    }

    /// What those who read may do without waiting.
    pub fn readiness_to_read(&self) -> u32 {
        let mut ready = 0;
        if self.has_something() {
            ready |= POLLIN;
        }
        if self.has_ended() {
            ready |= POLLHUP;
        }
        ready
    }

    /// What those who write may do without waiting.
    pub fn readiness_to_write(&self) -> u32 {
        let mut ready = 0;
        if self.ring.borrow().room() >= ATOMIC_BYTES {
            ready |= POLLOUT;
        }
        if !self.has_readers() {
            ready |= POLLERR;
        }
        ready
    }
}
