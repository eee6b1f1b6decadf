//! Files from which a process reads its signals: what `signalfd` makes.

use alloc::rc::Rc;
use core::cell::Cell;

use linux_raw_sys::general::POLLIN;

use super::asker::Asker;
use crate::calls::program::Buffer;
use crate::errno::Errno;
use crate::signal::{Information, UNBLOCKABLE};
use crate::wait;

/// Bytes of a `struct signalfd_siginfo`.
const RECORD_BYTES: usize = 128;

/// A set of signals.
#[derive(Debug)]
pub struct Signals(Cell<u64>);

impl Signals {
    /// Of these signals.
    pub fn new(set: u64) -> Self {
        let signals = Self(Cell::new(0));
        signals.set(set);
        signals
    }

    /// Of these signals from now on.
    pub fn set(&self, set: u64) {
        self.0.set(set & !UNBLOCKABLE);
    }

    /// Takes signals of whoever reads, or waits for the first.
    pub fn read(&self, buffer: &mut Buffer, now: bool) -> wait::Result<()> {
        if buffer.left() < RECORD_BYTES as u64 {
            return Err(Errno::EINVAL.into());
        }
        while buffer.left() >= RECORD_BYTES as u64
            && let Some(information) = buffer.take_signal(self.0.get())
        {
            buffer.put(&encode(&information))?;
        }
        match buffer.moved() {
            0 if now => Err(Errno::EAGAIN.into()),
            0 => {
                let queue: Rc<_> = buffer.asker().signalled;
                Err(buffer.wait(&queue))
            }
            _ => Ok(()),
        }
    }

    /// What can be done without waiting.
    pub fn readiness(&self, asker: &Asker) -> u32 {
        if asker.pending & self.0.get() != 0 {
            POLLIN
        } else {
            0
        }
    }
}

/// A record of a signal (Linux man page signalfd(2)).
fn encode(information: &Information) -> [u8; RECORD_BYTES] {
    let [sender, value, ..] = information.words;
    let mut record = [0; RECORD_BYTES];
    let mut put = |offset: usize, bytes: &[u8]| {
        if let Some(place) = record.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, &information.signal.to_le_bytes());
    put(4, &information.error.to_le_bytes());
    put(8, &information.code.to_le_bytes());
    if information.is_of_processor() {
        put(72, &sender.to_le_bytes());
    } else {
        // Number and user of the sender; its status, or the number or address that it has sent.
        put(12, &sender.to_le_bytes());
        put(40, &(value as u32).to_le_bytes());
        put(44, &(value as u32).to_le_bytes());
        put(48, &value.to_le_bytes());
    }
    record
}
