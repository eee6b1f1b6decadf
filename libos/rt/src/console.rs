//! The console: a port that ring 3 writes itself, one line by one instruction.
//!
//! Without the port capability what is printed is dropped: a program need not know whether it has a console.
#![allow(unsafe_code)]

use core::arch::asm;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};

use exo_abi::Kind;
use exo_abi::port::{CONSOLE_PORT, ERROR_PORT};

use crate::environment;
use crate::local::Local;

const LINE_MAX: usize = 256;

struct Line {
    bytes: [u8; LINE_MAX],
    used: usize,
}

static LINE: Local<Line> = Local::new(Line {
    bytes: [0; LINE_MAX],
    used: 0,
});

/// Whether the environment may use the port: 0 not asked yet, 1 no, 2 yes.
static PERMITTED: AtomicU8 = AtomicU8::new(0);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            self.bytes[self.used] = byte;
            self.used += 1;
            if byte == b'\n' || self.used == LINE_MAX {
                self.flush();
            }
        }
        Ok(())
    }
}

impl Line {
    fn flush(&mut self) {
        write(&self.bytes[..self.used]);
        self.used = 0;
    }
}

/// Writes at once and past the line buffer: for what an upcall prints while the buffer is in use.
struct Direct;

impl Write for Direct {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(text.as_bytes());
        Ok(())
    }
}

/// Whether this environment holds the console port.
pub fn is_permitted() -> bool {
    match PERMITTED.load(Ordering::Relaxed) {
        0 => {
            let found = holds(CONSOLE_PORT);
            PERMITTED.store(if found { 2 } else { 1 }, Ordering::Relaxed);
            found
        }
        answer => answer == 2,
    }
}

/// Whether this environment holds a port.
pub(crate) fn holds(port: u16) -> bool {
    let port = u64::from(port);
    environment::held_of(Kind::Ports)
        .any(|(_, entry)| entry.first <= port && port < entry.first + entry.count)
}

/// Writes bytes to the console, unbuffered.
pub fn write(bytes: &[u8]) {
    if bytes.is_empty() || !is_permitted() {
        return;
    }
    // SAFETY: 1. `rep outsb` reads `bytes` and nothing else; 2. the I/O bitmap permits the port, as checked above.
    unsafe {
        asm!("rep outsb", in("dx") CONSOLE_PORT, inout("rsi") bytes.as_ptr() => _, inout("rcx") bytes.len() => _,
            options(nostack, readonly, preserves_flags));
    }
}

/// Writes bytes to the second console, whose output is error messages. Without its port they are dropped.
pub fn write_error(bytes: &[u8]) {
    if !holds(ERROR_PORT) {
        return;
    }
    // SAFETY: 1. `rep outsb` reads `bytes` and nothing else; 2. the I/O bitmap permits the port, as checked above.
    unsafe {
        asm!("rep outsb", in("dx") ERROR_PORT, inout("rsi") bytes.as_ptr() => _, inout("rcx") bytes.len() => _,
            options(nostack, readonly, preserves_flags));
    }
}

/// Writes out an unfinished line.
pub fn flush() {
    LINE.with(Line::flush);
}

/// What `print!` calls.
pub fn print(arguments: fmt::Arguments) {
    // Neither writer fails.
    if LINE.with(|line| line.write_fmt(arguments)).is_none() {
        let _ = Direct.write_fmt(arguments);
    }
}

/// Prints to the console, if the environment holds it.
#[macro_export]
macro_rules! print {
    ($($arguments:tt)*) => { $crate::console::print(format_args!($($arguments)*)) };
}

/// Prints a line to the console, if the environment holds it.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($($arguments:tt)*) => { $crate::console::print(format_args!("{}\n", format_args!($($arguments)*))) };
}
