//! The console: a 16550 UART whose transmitter writes to the program's output.

use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};

/// Registers of the UART.
pub const CONSOLE_PORTS: u16 = 8;

/// The UART needs an interrupt line; ours is not connected, since writers need none and nobody reads.
struct NotConnected;

impl Trigger for NotConnected {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Collects what the UART transmits. The UART flushes after each byte; we do at the end of an exit.
#[derive(Default)]
struct Transmitted(Vec<u8>);

impl Write for Transmitted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The console and where its output goes.
pub struct Console {
    state: Mutex<State>,
}

struct State {
    serial: Serial<NotConnected, NoEvents, Transmitted>,
    output: Box<dyn Write + Send>,
}

impl Console {
    /// A console that writes to `output`.
    pub fn new(output: Box<dyn Write + Send>) -> Self {
        let serial = Serial::new(NotConnected, Transmitted::default());
        Self {
            state: Mutex::new(State { serial, output }),
        }
    }

    /// The guest reads register `offset`.
    pub fn read(&self, offset: u8) -> u8 {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .serial
            .read(offset)
    }

    /// The guest writes bytes, one after the other, to register `offset`: more than one is a string instruction.
    pub fn write(&self, offset: u8, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { serial, output } = &mut *state;
        for &byte in bytes {
            // Cannot fail: the interrupt line cannot, and memory takes every byte.
            let _ = serial.write(offset, byte);
        }
        let transmitted = &mut serial.writer_mut().0;
        if !transmitted.is_empty() {
            // A reader that has gone away loses output; the programs carry on, as with a terminal unplugged.
            let _ = output.write_all(transmitted).and_then(|()| output.flush());
            transmitted.clear();
        }
    }
}
