//! The kernel's own words: only for what ends the machine.

use core::fmt::{self, Write};

use exo_abi::port::{CONSOLE_PORT, EXIT_PORT, ExitCode};

use super::{ports, registers};

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            ports::write_byte(CONSOLE_PORT, byte);
        }
        Ok(())
    }
}

/// Prints one line, and ends the machine.
pub fn end_machine_because(code: ExitCode, reason: fmt::Arguments) -> ! {
    // Writing to the console cannot fail.
    let _ = writeln!(Console, "exo-kernel: {reason}");
    end_machine(code)
}

/// Ends the machine.
pub fn end_machine(code: ExitCode) -> ! {
    ports::write_word(EXIT_PORT, code as u32);
    registers::stop()
}
