//! Reads lines from its virtio console and writes each back, until a line says `exit` or the input ends.
//!
//! `--interrupts`: sleep until the device interrupts, instead of polling.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use exo_drivers::console::Console;
use exo_drivers::transport::Transport;
use exo_drivers::virtio::DEVICE_CONSOLE;
use exo_programs::service::service_by_arguments;

exo_rt::program!(main);

/// A longer line is echoed in pieces.
const LINE_MAX: usize = 1024;

fn main() -> Result<(), String> {
    let service = service_by_arguments()?;
    let function = Transport::find(DEVICE_CONSOLE, 0).map_err(|error| error.to_string())?;
    let mut console = Console::open(function, service).map_err(|error| error.to_string())?;
    let mut line = Vec::new();
    while let Some(byte) = console.read_byte().map_err(|error| error.to_string())? {
        line.push(byte);
        if byte == b'\n' || line.len() == LINE_MAX {
            console.write(&line).map_err(|error| error.to_string())?;
            if line.trim_ascii() == b"exit" {
                return Ok(());
            }
            line.clear();
        }
    }
    console.write(&line).map_err(|error| error.to_string())
}
