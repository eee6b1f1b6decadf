//! `reply-late CLIENT`: replies to its client when that holds neither slots nor frames any more but those that it started with.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use core::sync::atomic::{AtomicBool, Ordering};

use exo_programs::entries::{await_end, offer};
use exo_programs::sharing::environment_named;
use exo_rt::abi::{EnvironmentId, Kind};
use exo_rt::transfer::{self, Message, Next};
use exo_rt::{environment, tables};

exo_rt::program!(main);

static DONE: AtomicBool = AtomicBool::new(false);

fn main() -> Result<(), String> {
    let name = environment::arguments().next();
    let client = environment_named(&name.ok_or("the argument is the name of the client")?);
    let entry = transfer::accept(answer).map_err(|error| alloc::format!("accept: {error}"))?;
    offer(entry, client).map_err(|error| alloc::format!("offer: {error}"))?;
    while !DONE.load(Ordering::Relaxed) {
        transfer::wait(environment::events());
    }
    await_end(client);
    Ok(())
}

/// Computes in the client's slice meanwhile, and enters the kernel never.
fn answer(from: EnvironmentId, message: &mut Message) -> Next {
    let number = message.seed();
    *message = Message::from_seed(!number);
    if number == u64::MAX {
        DONE.store(true, Ordering::Relaxed);
        return Next::ReplyAndReturn;
    }
    while tables::environment(from).is_some_and(|client| {
        client.held[Kind::Slice as usize] != 0 || client.frames > client.frames_guaranteed
    }) {
        core::hint::spin_loop();
    }
    Next::Reply
}
