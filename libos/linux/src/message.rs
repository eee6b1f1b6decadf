//! What the personality itself has to say: lines on standard error, apart from what its program prints.

use alloc::string::String;
use core::fmt::{self, Write};

use exo_rt::console;

/// What `message!` calls.
pub fn print(arguments: fmt::Arguments) {
    let mut line = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(line, "{arguments}");
    console::write_error(line.as_bytes());
}

/// Prints a line to standard error.
#[macro_export]
macro_rules! message {
    ($($arguments:tt)*) => { $crate::message::print(format_args!($($arguments)*)) };
}
