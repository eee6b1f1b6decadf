//! Open files: a node, and how it is used.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use linux_raw_sys::general::{
    O_ACCMODE, O_APPEND, O_NONBLOCK, O_RDONLY, O_WRONLY, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM,
};

use super::asker::Asker;
use super::epoll::Epoll;
use super::node::{Content, Node};
use super::pipe::Use;
use crate::calls::program::Buffer;
use crate::errno::{Errno, Result};
use crate::wait::{self, WaitQueue};

/// An open file, which several descriptors may share.
#[derive(Debug)]
pub struct OpenFile {
    /// What is open.
    pub node: Rc<Node>,
    /// Directories from the root down to it, where it is a directory itself.
    pub above: Vec<Rc<Node>>,
    /// The path by which it was opened; empty where it has no name.
    pub path: Vec<u8>,
    /// Where the next read or write is; in a directory, how many names were read.
    pub offset: Cell<u64>,
    /// The last name of a directory that was read, and the offset behind it.
    pub listed: RefCell<Option<(u64, Vec<u8>)>>,
    /// The flags of `open`.
    pub flags: Cell<u32>,
}

impl OpenFile {
    /// Opens a node.
    pub fn new(node: Rc<Node>, above: Vec<Rc<Node>>, flags: u32) -> Rc<Self> {
        Self::named(node, above, Vec::new(), flags)
    }

    /// Opens a node that was found by a path.
    pub fn named(node: Rc<Node>, above: Vec<Rc<Node>>, path: Vec<u8>, flags: u32) -> Rc<Self> {
        let file = Self {
            node,
            above,
            path,
            offset: Cell::new(0),
            listed: RefCell::new(None),
            flags: Cell::new(flags),
        };
        if let Content::Pipe(pipe) = &file.node.content {
            pipe.open(file.reads(), file.writes());
        }
        Rc::new(file)
    }

    fn reads(&self) -> bool {
        self.flags.get() & O_ACCMODE != O_WRONLY
    }

    fn writes(&self) -> bool {
        self.flags.get() & O_ACCMODE != O_RDONLY
    }

    /// How it is used: waiting or not.
    pub fn how(&self) -> Use {
        Use {
            now: self.flags.get() & O_NONBLOCK != 0,
            peek: false,
        }
    }

    /// Refuses positions where there are none.
    pub fn check_position(&self) -> Result<()> {
        match &self.node.content {
            Content::Regular(_) | Content::Directory(_) | Content::Link(_) => Ok(()),
            Content::Device(_) => Ok(()),
            _ => Err(Errno::ESPIPE),
        }
    }

    /// Reads what is at `offset`; says how many bytes.
    pub fn read_at(&self, offset: u64, buffer: &mut Buffer) -> wait::Result {
        self.check_position()?;
        self.fill(offset, buffer)?;
        Ok(buffer.moved())
    }

    /// Writes at `offset`; says how many bytes.
    pub fn write_at(&self, offset: u64, buffer: &mut Buffer) -> wait::Result {
        self.check_position()?;
        self.empty(offset, buffer)?;
        Ok(buffer.moved())
    }

    /// Reads where the last read or write ended.
    pub fn read(&self, buffer: &mut Buffer) -> wait::Result {
        self.fill(self.offset.get(), buffer)?;
        self.advance(buffer);
        Ok(buffer.moved())
    }

    /// Writes where the last read or write ended, or at the end of a file that is open for appending.
    pub fn write(&self, buffer: &mut Buffer) -> wait::Result {
        if self.flags.get() & O_APPEND != 0 {
            self.offset.set(self.node.size());
        }
        self.empty(self.offset.get(), buffer)?;
        self.advance(buffer);
        Ok(buffer.moved())
    }

    fn fill(&self, offset: u64, buffer: &mut Buffer) -> wait::Result<()> {
        if !self.reads() {
            return Err(Errno::EBADF.into());
        }
        let how = self.how();
        match &self.node.content {
            Content::Regular(data) => Ok(data.borrow_mut().read(offset, buffer)?),
            Content::Device(device) => Ok(device.read(buffer)?),
            Content::Stream(stream, console) => console.read(*stream, buffer, how.now),
            Content::Terminal(terminal) => terminal.read(buffer, how),
            Content::Pipe(pipe) => pipe.read(buffer, how).map(drop),
            Content::Socket(socket) => socket.read(buffer, how).map(drop),
            Content::Counter(counter) => counter.read(buffer, how.now),
            Content::Timer(timer) => timer.read(buffer, how.now),
            Content::Signals(signals) => signals.read(buffer, how.now),
            Content::Directory(_) => Err(Errno::EISDIR.into()),
            Content::Link(_) | Content::Epoll(_) | Content::Report(_) => Err(Errno::EINVAL.into()),
        }
    }

    fn empty(&self, offset: u64, buffer: &mut Buffer) -> wait::Result<()> {
        if !self.writes() {
            return Err(Errno::EBADF.into());
        }
        buffer.resume();
        let how = self.how();
        match &self.node.content {
            Content::Regular(data) => {
                self.node.touch(buffer.now());
                Ok(data.borrow_mut().write(offset, buffer)?)
            }
            Content::Device(device) => Ok(device.write(buffer)?),
            Content::Stream(stream, console) => console.write(*stream, buffer, how.now),
            Content::Terminal(terminal) => terminal.write(buffer, how),
            Content::Pipe(pipe) => pipe.write(buffer, how),
            Content::Socket(socket) => socket.write(buffer, how),
            Content::Counter(counter) => counter.write(buffer, how.now),
            Content::Directory(_) => Err(Errno::EISDIR.into()),
            Content::Link(_)
            | Content::Epoll(_)
            | Content::Timer(_)
            | Content::Signals(_)
            | Content::Report(_) => Err(Errno::EINVAL.into()),
        }
    }

    fn advance(&self, buffer: &Buffer) {
        if matches!(self.node.content, Content::Regular(_)) {
            self.offset.set(self.offset.get() + buffer.moved());
        }
    }

    /// Bytes that can be read without waiting, where such a number is told.
    pub fn available(&self) -> Option<u64> {
        match &self.node.content {
            Content::Regular(_) => Some(self.node.size().saturating_sub(self.offset.get())),
            Content::Terminal(terminal) => Some(terminal.available() as u64),
            Content::Pipe(pipe) => Some(pipe.available() as u64),
            Content::Socket(socket) => Some(socket.incoming.available() as u64),
            _ => None,
        }
    }

    /// What can be done without waiting: bits of `poll`.
    pub fn readiness(&self, asker: &Asker) -> u32 {
        let ready = match &self.node.content {
            Content::Pipe(pipe) => {
                let mut ready = 0;
                if self.reads() {
                    ready |= pipe.readiness_to_read();
                }
                if self.writes() {
                    ready |= pipe.readiness_to_write();
                }
                ready
            }
            Content::Socket(socket) => socket.readiness(),
            Content::Counter(counter) => counter.readiness(),
            Content::Timer(timer) => timer.readiness(),
            Content::Epoll(epoll) => epoll.readiness(asker),
            Content::Signals(signals) => signals.readiness(asker),
            Content::Stream(stream, console) => console.readiness(*stream),
            Content::Terminal(terminal) => terminal.readiness(),
            _ => POLLIN | POLLOUT,
        };
        let normal = [(POLLIN, POLLRDNORM), (POLLOUT, POLLWRNORM)];
        let more = normal.iter().filter(|&&(bit, _)| ready & bit != 0);
        more.fold(ready, |ready, &(_, bit)| ready | bit)
    }

    /// The path by which it was opened, or what it is.
    pub fn name(&self) -> Vec<u8> {
        let kind = match &self.node.content {
            Content::Terminal(_) => "/dev/tty",
            Content::Pipe(_) | Content::Stream(..) => "pipe",
            Content::Socket(_) => "socket",
            Content::Counter(_) => "anon_inode:[eventfd]",
            Content::Timer(_) => "anon_inode:[timerfd]",
            Content::Epoll(_) => "anon_inode:[eventpoll]",
            _ => return self.path.clone(),
        };
        match kind.contains(['[', '/']) {
            true => kind.as_bytes().to_vec(),
            false => alloc::format!("{kind}:[{}]", self.node.number).into_bytes(),
        }
    }

    /// Whether it may not be ready: others cannot be waited for.
    pub fn can_wait(&self) -> bool {
        !matches!(
            self.node.content,
            Content::Regular(_) | Content::Directory(_) | Content::Link(_) | Content::Report(_)
        )
    }

    /// How often something has happened that makes it ready to be read, and to be written.
    pub fn changes(&self) -> [u64; 2] {
        match &self.node.content {
            Content::Pipe(pipe) => {
                let fillings = if self.reads() { pipe.fillings.get() } else { 0 };
                let drainings = if self.writes() {
                    pipe.drainings.get()
                } else {
                    0
                };
                [fillings, drainings]
            }
            Content::Socket(socket) => [
                socket.incoming.fillings.get(),
                socket.outgoing.drainings.get(),
            ],
            Content::Counter(counter) => [counter.additions.get(), 0],
            Content::Timer(timer) => [timer.moment().unwrap_or(0), 0],
            Content::Stream(_, console) => [console.receptions.get(), 0],
            Content::Terminal(terminal) => [terminal.console().receptions.get(), 0],
            _ => [0; 2],
        }
    }

    /// Adds the queues that tell when its readiness changes.
    pub fn queues(&self, asker: &Asker, queues: &mut Vec<Rc<WaitQueue>>) {
        match &self.node.content {
            Content::Pipe(pipe) => {
                if self.reads() {
                    queues.push(pipe.readable.clone());
                }
                if self.writes() {
                    queues.push(pipe.writable.clone());
                }
            }
            Content::Socket(socket) => {
                queues.push(socket.incoming.readable.clone());
                queues.push(socket.outgoing.writable.clone());
            }
            Content::Counter(counter) => queues.push(counter.changed.clone()),
            Content::Timer(timer) => queues.push(timer.changed.clone()),
            Content::Epoll(epoll) => epoll.queues(asker, queues),
            Content::Signals(_) => queues.push(asker.signalled.clone()),
            Content::Stream(_, console) => console.queues(queues),
            Content::Terminal(terminal) => terminal.console().queues(queues),
            _ => {}
        }
    }

    /// When it becomes ready by itself, in nanoseconds of [`crate::calls::now`].
    pub fn moment(&self) -> Option<u64> {
        match &self.node.content {
            Content::Timer(timer) => timer.moment(),
            Content::Epoll(epoll) => epoll.moment(),
            _ => None,
        }
    }

    /// The set that it is.
    pub fn epoll(&self) -> Option<&Epoll> {
        match &self.node.content {
            Content::Epoll(epoll) => Some(epoll),
            _ => None,
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Content::Pipe(pipe) = &self.node.content {
            pipe.close(self.reads(), self.writes());
        }
    }
}
