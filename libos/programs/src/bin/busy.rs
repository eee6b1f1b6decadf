//! `busy CHUNKS REQUESTS`: computes, and never enters the kernel by itself; event upcalls tell it what is asked back, and it gives that.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use exo_programs::cache::Chunk;
use exo_rt::abi::Call;
use exo_rt::{environment, events, revocation, tables};

exo_rt::program!(main);

/// Requests that were answered.
static ANSWERED: AtomicU64 = AtomicU64::new(0);
/// Frames of a chunk.
const FRAMES: u64 = 8;

fn main() -> Result<(), String> {
    let numbers: Vec<u64> = environment::arguments()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let [chunks, requests] = numbers.as_slice() else {
        return Err(String::from("the arguments are CHUNKS REQUESTS"));
    };
    revocation::set_handler(|request| {
        revocation::give_newest(request);
        ANSWERED.fetch_add(1, Ordering::Relaxed);
    });
    revocation::serve_while_computing()
        .map_err(|error| format!("event upcalls were refused: {error}"))?;
    for _ in 0..*chunks {
        Chunk::allocate(FRAMES).map_err(|error| format!("a chunk: {error}"))?;
    }
    while ANSWERED.load(Ordering::Relaxed) < *requests {
        core::hint::spin_loop();
    }
    let own = tables::own_environment();
    let waits =
        own.calls[Call::EnvironmentWait.index()] + own.calls[Call::EnvironmentYield.index()];
    match (events::upcalls_taken(), waits, revocation::repossessed()) {
        (0, ..) => Err("it was told of no request".into()),
        (_, 0, 0) => Ok(()),
        (_, waits, taken) => Err(format!("{waits} waits, {taken} bindings taken by force")),
    }
}
