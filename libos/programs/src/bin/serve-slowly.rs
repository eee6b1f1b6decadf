//! `serve-slowly MODE CLIENT`: computes for each transfer until it was switched by force; message 0 is the last.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use core::sync::atomic::{AtomicBool, Ordering};

use exo_programs::entries::offer;
use exo_programs::sharing::environment_named;
use exo_rt::abi::EnvironmentId;
use exo_rt::transfer::{self, Message, Next};
use exo_rt::{environment, tables};

exo_rt::program!(main);

static ASYNCHRONOUS: AtomicBool = AtomicBool::new(false);
static DONE: AtomicBool = AtomicBool::new(false);

fn main() -> Result<(), String> {
    let mut arguments = environment::arguments();
    let (Some(mode), Some(client)) = (arguments.next(), arguments.next()) else {
        return Err(String::from("arguments: MODE CLIENT"));
    };
    ASYNCHRONOUS.store(mode == "asynchronous", Ordering::Relaxed);
    let entry = transfer::accept(serve).map_err(|error| alloc::format!("accept: {error}"))?;
    let client = environment_named(&client);
    offer(entry, client).map_err(|error| alloc::format!("offer: {error}"))?;
    while !DONE.load(Ordering::Relaxed) {
        transfer::wait(environment::events());
    }
    Ok(())
}

fn serve(_: EnvironmentId, message: &mut Message) -> Next {
    let is_last = message.seed() == 0;
    DONE.store(is_last, Ordering::Relaxed);
    let switches = tables::own_environment().forced_switches;
    while !is_last && tables::own_environment().forced_switches == switches {
        core::hint::spin_loop();
    }
    match (ASYNCHRONOUS.load(Ordering::Relaxed), is_last) {
        (true, _) => Next::Return,
        (false, true) => Next::ReplyAndReturn,
        (false, false) => Next::Reply,
    }
}
