//! The terminal of a run: its line discipline, over the console.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use exo_drivers::console::Received;
use linux_raw_sys::general::{POLLHUP, POLLIN};

use super::console::Console;
use super::line::{Line, Modes};
use super::pipe::Use;
use crate::calls::now;
use crate::calls::program::Buffer;
use crate::errno::Errno;
use crate::wait;

/// Bytes that are moved at a time.
const PIECE: usize = 1024;
/// Nanoseconds of a tenth of a second.
const TENTH: u64 = 100_000_000;

/// A terminal.
#[derive(Debug)]
pub struct Terminal {
    console: Rc<Console>,
    line: RefCell<Line>,
    /// Signals that were typed, and that nobody has got yet.
    signals: RefCell<Vec<u32>>,
    /// Columns and rows.
    size: Cell<(u16, u16)>,
    /// The other end is gone.
    has_ended: Cell<bool>,
    /// The process group that has it; 0: nobody.
    pub group: Cell<u32>,
    /// The session that has it; 0: none.
    pub session: Cell<u32>,
}

impl Terminal {
    /// The terminal behind a console.
    pub fn new(console: Rc<Console>, owner: u32) -> Rc<Self> {
        let terminal = Rc::new(Self {
            size: Cell::new(console.size()),
            console,
            line: RefCell::default(),
            signals: RefCell::default(),
            has_ended: Cell::new(false),
            group: Cell::new(owner),
            session: Cell::new(owner),
        });
        // From now on what is typed interrupts, also a program that never reads.
        terminal.serve();
        terminal
    }

    /// The streams behind it.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Takes what was typed, echoes it, and lets those go on who wait for it.
    pub fn serve(&self) {
        let mut line = self.line.borrow_mut();
        let mut echo = Vec::new();
        let mut piece = [0; PIECE];
        let mut has_typed = false;
        while line.has_room() && !self.has_ended.get() {
            match self.console.receive(&mut piece) {
                Received::Nothing => break,
                Received::End => self.has_ended.set(true),
                Received::Bytes(bytes) => {
                    for &byte in piece.get(..bytes).unwrap_or_default() {
                        if let Some(signal) = line.type_byte(byte, &mut echo) {
                            self.signals.borrow_mut().push(signal);
                        }
                    }
                }
            }
            has_typed = true;
        }
        if has_typed {
            // An echo for which there is no room is lost, as under Linux.
            let _ = self.console.send(&echo);
            self.console.tell_received();
        }
    }

    /// A signal that was typed.
    pub fn take_signal(&self) -> Option<u32> {
        let mut signals = self.signals.borrow_mut();
        (!signals.is_empty()).then(|| signals.remove(0))
    }

    /// The modes.
    pub fn modes(&self) -> Modes {
        self.line.borrow().modes
    }

    /// Sets the modes.
    pub fn set_modes(&self, modes: Modes, flush: bool) {
        self.serve();
        let mut line = self.line.borrow_mut();
        if flush {
            line.flush();
        }
        line.set_modes(modes);
    }

    /// Forgets what was typed and not read.
    pub fn flush(&self) {
        self.serve();
        self.line.borrow_mut().flush();
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        self.size.get()
    }

    /// Says how large it is; whether that is new.
    pub fn set_size(&self, size: (u16, u16)) -> bool {
        self.size.replace(size) != size
    }

    /// Bytes that can be read.
    pub fn available(&self) -> usize {
        self.serve();
        self.line.borrow().available()
    }

    /// Reads a line, or what was typed.
    pub fn read(&self, buffer: &mut Buffer, how: Use) -> wait::Result<()> {
        self.serve();
        let mut line = self.line.borrow_mut();
        let wanted = usize::try_from(buffer.left()).unwrap_or(usize::MAX);
        let (least, tenths) = line.modes.least();
        let is_enough = match line.modes.is_canonical() {
            true => line.is_ready(),
            false => line.available() >= least.min(wanted).max(usize::from(tenths != 0)),
        };
        if is_enough || self.has_ended.get() {
            let bytes = line.take(wanted);
            buffer.put(&bytes)?;
            return Ok(());
        }
        if how.now {
            return Err(Errno::EAGAIN.into());
        }
        let mut wait = wait::Wait::queue(&self.console.received);
        if !line.modes.is_canonical() && least == 0 {
            let deadline = buffer.deadline(|| now() + tenths * TENTH);
            if deadline <= now() {
                return Ok(());
            }
            wait.deadline = Some(deadline);
        }
        Err(wait.into())
    }

    /// Prints.
    pub fn write(&self, buffer: &mut Buffer, how: Use) -> wait::Result<()> {
        let modes = self.modes();
        let mut piece = [0; PIECE];
        while buffer.left() != 0 {
            // A byte may become two.
            let room = (self.console.room_or_interrupt() / 2).min(PIECE);
            if room == 0 {
                return match (how.now, buffer.moved()) {
                    (true, 0) => Err(Errno::EAGAIN.into()),
                    (true, _) => Ok(()),
                    (false, _) => Err(buffer.wait(&self.console.taken)),
                };
            }
            let bytes = buffer.take(piece.get_mut(..room).unwrap_or_default())?;
            let mut sent = Vec::with_capacity(2 * bytes);
            modes.print(piece.get(..bytes).unwrap_or_default(), &mut sent);
            self.console.send(&sent)?;
        }
        Ok(())
    }

    /// What can be done without waiting.
    pub fn readiness(&self) -> u32 {
        self.serve();
        let mut ready = self.console.readiness_to_write();
        if self.line.borrow().is_ready() {
            ready |= POLLIN;
        }
        if self.has_ended.get() {
            ready |= POLLIN | POLLHUP;
        }
        ready
    }
}
