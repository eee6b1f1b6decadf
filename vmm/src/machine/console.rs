//! The console: a 16550 UART whose transmitter writes to the program's output.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
///
/// Programs write at once, on several vCPUs or in turn, and a string instruction may exit for each of its bytes. So that lines stay
/// whole, an environment that has begun one has the output to itself until it ends it; what others write waits meanwhile.
pub struct Console {
    state: Mutex<State>,
}

/// Most bytes that wait for somebody else's line to end; then that line is broken.
const WAITING_MAX: usize = 4096;

struct State {
    serial: Serial<NotConnected, NoEvents, Transmitted>,
    output: Box<dyn Write + Send>,
    /// Number of the environment in the middle of a line; 0 is the kernel.
    writer: Option<u16>,
    /// What others have written since it began.
    waiting: BTreeMap<u16, Vec<u8>>,
    /// Why output was lost, the first time.
    lost: Option<io::Error>,
}

impl Console {
    /// A console that writes to `output`.
    pub fn new(output: Box<dyn Write + Send>) -> Self {
        let serial = Serial::new(NotConnected, Transmitted::default());
        Self {
            state: Mutex::new(State {
                serial,
                output,
                writer: None,
                waiting: BTreeMap::new(),
                lost: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest reads register `offset`.
    pub fn read(&self, offset: u8) -> u8 {
        self.lock().serial.read(offset)
    }

    /// `from` writes bytes, one after the other, to register `offset`: more than one is a string instruction.
    pub fn write(&self, from: u16, offset: u8, bytes: &[u8]) {
        let mut state = self.lock();
        for &byte in bytes {
            // Cannot fail: the interrupt line cannot, and memory takes every byte.
            let _ = state.serial.write(offset, byte);
        }
        let transmitted = std::mem::take(&mut state.serial.writer_mut().0);
        if transmitted.is_empty() {
            return;
        }
        if state.writer.is_none_or(|writer| writer == from) {
            state.print(from, &transmitted);
            state.print_waiting();
            return;
        }
        let waiting = state.waiting.entry(from).or_default();
        waiting.extend_from_slice(&transmitted);
        if waiting.len() > WAITING_MAX {
            state.writer = None;
            state.print_waiting();
        }
    }

    /// Writes what still waits, at the end of the machine; says why output was lost, if some was.
    pub fn finish(&self) -> Result<(), io::Error> {
        let mut state = self.lock();
        while !state.waiting.is_empty() {
            state.writer = None;
            state.print_waiting();
        }
        state.lost.take().map_or(Ok(()), Err)
    }
}

impl State {
    /// Lets those who wait write, until one of them begins a line without ending it.
    fn print_waiting(&mut self) {
        while self.writer.is_none()
            && let Some((from, bytes)) = self.waiting.pop_first()
        {
            self.print(from, &bytes);
        }
    }

    fn print(&mut self, from: u16, bytes: &[u8]) {
        // The programs carry on, as with a terminal unplugged. A reader that has gone away wants no more; all else is told at the end.
        let written = self.output.write_all(bytes);
        if let Err(error) = written.and_then(|()| self.output.flush())
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.lost.get_or_insert(error);
        }
        self.writer = (bytes.last() != Some(&b'\n')).then_some(from);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A console, and a function that gives what it has written since it was last asked.
    fn console() -> (Console, impl Fn() -> String) {
        let output = Output::default();
        let console = Console::new(Box::new(output.clone()));
        (console, move || {
            String::from_utf8(std::mem::take(&mut *output.0.lock().unwrap())).unwrap()
        })
    }

    #[test]
    fn lines_of_several_writers_stay_whole() {
        let (console, written) = console();
        console.write(0, 0, b"a");
        console.write(1, 0, b"one\ntw");
        console.write(2, 0, b"x\n");
        assert_eq!(written(), "a");
        console.write(0, 0, b"b\n");
        assert_eq!(written(), "b\none\ntw");
        console.write(1, 0, b"o\n");
        assert_eq!(written(), "o\nx\n");
    }

    #[test]
    fn a_line_that_never_ends_is_broken() {
        let (console, written) = console();
        console.write(0, 0, b"stuck");
        console.write(1, 0, &[b'y'; WAITING_MAX]);
        assert_eq!(written(), "stuck");
        console.write(1, 0, b"y\n");
        assert_eq!(written().len(), WAITING_MAX + 2);
        console.write(0, 0, b"again");
        console.write(1, 0, b"last");
        console.write(2, 0, b"words");
        console.finish().unwrap();
        assert_eq!(written(), "againlastwords");
    }

    #[test]
    fn lost_output_is_told_at_the_end_unless_nobody_reads() {
        struct Failing(io::ErrorKind);
        impl Write for Failing {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let end_of = |kind| {
            let console = Console::new(Box::new(Failing(kind)));
            console.write(0, 0, b"line\n");
            console.finish().map_err(|error| error.kind())
        };
        let full = io::ErrorKind::StorageFull;
        assert_eq!(end_of(full), Err(full));
        assert_eq!(end_of(io::ErrorKind::BrokenPipe), Ok(()));
    }

    #[test]
    fn registers_are_those_of_an_uart_that_is_always_ready() {
        let (console, written) = console();
        // Line status: transmitter empty.
        assert_eq!(console.read(5) & 0x60, 0x60);
        // With the divisor latch open, register 0 sets the speed and prints nothing.
        console.write(0, 3, &[0x80]);
        console.write(0, 0, b"x");
        assert_eq!(written(), "");
    }
}
