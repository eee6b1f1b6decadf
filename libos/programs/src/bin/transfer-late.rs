//! `transfer-late MODE SERVER ROUNDS`: at the end of each slice transfers to the server in place of a yield, `synchronous` or `asynchronous`,
//! until it has paid for that so often.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use exo_programs::entries::await_entry;
use exo_programs::sharing::environment_named;
use exo_rt::abi::{Capability, Error};
use exo_rt::transfer::Message;
use exo_rt::{environment, gate, slices, tables, wait};

exo_rt::program!(main);

static ENTRY: AtomicU64 = AtomicU64::new(0);
static ASYNCHRONOUS: AtomicBool = AtomicBool::new(false);

fn main() -> Result<(), String> {
    let arguments: Vec<String> = environment::arguments().collect();
    let [mode, server, rounds] = arguments.as_slice() else {
        return Err(String::from("arguments: MODE SERVER ROUNDS"));
    };
    let rounds: u64 = rounds
        .parse()
        .map_err(|_| String::from("ROUNDS is a number"))?;
    ASYNCHRONOUS.store(mode == "asynchronous", Ordering::Relaxed);
    let entry = await_entry(environment_named(server)).map_err(|error| format!("{error}"))?;
    ENTRY.store(entry.0, Ordering::Relaxed);
    slices::install(|| {
        if send(1).is_err() {
            wait::yield_now();
        }
    })
    .map_err(|error| format!("slice upcalls were refused: {error}"))?;
    while tables::own_environment().penalties < rounds {
        core::hint::spin_loop();
    }
    // The last message.
    while let Err(error) = send(0) {
        if error != Error::Unwilling {
            return Err(format!("the last transfer: {error}"));
        }
        wait::yield_now();
    }
    Ok(())
}

fn send(number: u64) -> Result<(), Error> {
    let entry = Capability(ENTRY.load(Ordering::Relaxed));
    let mut message = Message::from_seed(number);
    match ASYNCHRONOUS.load(Ordering::Relaxed) {
        true => gate::transfer_asynchronous(entry, &mut message),
        false => gate::transfer(entry, &mut message),
    }
}
