//! Sockets that are connected to each other within the family: what `socketpair` makes.

use alloc::rc::Rc;
use core::cell::Cell;

use linux_raw_sys::general::{POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP};

use super::pipe::{Pipe, Use};
use crate::calls::program::Buffer;
use crate::errno::Errno;
use crate::wait;

/// One of two sockets.
#[derive(Debug)]
pub struct Socket {
    /// What its peer writes.
    pub incoming: Rc<Pipe>,
    /// What its peer reads.
    pub outgoing: Rc<Pipe>,
    /// Its type, as `socket` takes it.
    pub kind: u32,
    reads: Cell<bool>,
    writes: Cell<bool>,
}

impl Socket {
    /// Two that are connected: of messages, or of bytes.
    pub fn pair(kind: u32, messages: bool) -> [Self; 2] {
        let [one, other] = [(); 2].map(|()| Rc::new(Pipe::new(messages)));
        [(one.clone(), other.clone()), (other, one)].map(|(incoming, outgoing)| {
            incoming.open(true, false);
            outgoing.open(false, true);
            Self {
                incoming,
                outgoing,
                kind,
                reads: Cell::new(true),
                writes: Cell::new(true),
            }
        })
    }

    /// Ends one direction, or both, for both sides.
    pub fn shut_down(&self, reads: bool, writes: bool) {
        if reads && self.reads.replace(false) {
            self.incoming.close(true, false);
        }
        if writes && self.writes.replace(false) {
            self.outgoing.close(false, true);
        }
    }

    /// Receives; says how long the message was.
    pub fn read(&self, buffer: &mut Buffer, how: Use) -> wait::Result<usize> {
        let how = Use {
            now: how.now && self.reads.get(),
            ..how
        };
        match self.incoming.read(buffer, how) {
            Err(wait::Stop::Wait(_)) if !self.reads.get() => Ok(0),
            result => result,
        }
    }

    /// Sends.
    pub fn write(&self, buffer: &mut Buffer, how: Use) -> wait::Result<()> {
        if !self.writes.get() {
            return Err(Errno::EPIPE.into());
        }
        self.outgoing.write(buffer, how)
    }

    /// What can be done without waiting.
    pub fn readiness(&self) -> u32 {
        let incoming = match self.reads.get() {
            true => self.incoming.readiness_to_read(),
            false => POLLIN | POLLHUP,
        };
        let outgoing = match self.writes.get() {
            true => self.outgoing.readiness_to_write(),
            false => POLLOUT | POLLERR,
        };
        // A peer that sends no more is the end of what is read; only with the other direction is all over.
        let ended = incoming & POLLHUP != 0;
        let mut ready = (incoming | outgoing) & (POLLIN | POLLOUT);
        if ended {
            ready |= POLLIN | POLLRDHUP;
        }
        if ended && outgoing & POLLERR != 0 {
            ready |= POLLHUP | POLLOUT;
        }
        ready
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.shut_down(true, true);
    }
}
