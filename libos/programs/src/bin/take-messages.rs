//! `take-messages CLIENT COUNT`: takes so many asynchronous transfers, and sees that each arrives exactly, once and in order.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};

use exo_programs::entries::{await_end, offer};
use exo_programs::sharing::environment_named;
use exo_rt::abi::EnvironmentId;
use exo_rt::transfer::{self, Message, Next};
use exo_rt::{environment, println};

exo_rt::program!(main);

/// Messages that came as they were due.
static TAKEN: AtomicU64 = AtomicU64::new(0);
/// Others.
static WRONG: AtomicU64 = AtomicU64::new(0);
/// Who may send.
static CLIENT: AtomicU64 = AtomicU64::new(0);

fn main() -> Result<(), String> {
    let mut arguments = environment::arguments();
    let (Some(client), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err(String::from("arguments: CLIENT COUNT"));
    };
    let count: u64 = count
        .parse()
        .map_err(|_| String::from("COUNT is a number"))?;
    let client = environment_named(&client);
    CLIENT.store(client.0.into(), Ordering::Relaxed);
    let entry = transfer::accept(take).map_err(|error| format!("accept: {error}"))?;
    offer(entry, client).map_err(|error| format!("offer: {error}"))?;
    while TAKEN.load(Ordering::Relaxed) < count {
        transfer::wait(environment::events());
    }
    await_end(client);
    match (TAKEN.load(Ordering::Relaxed), WRONG.load(Ordering::Relaxed)) {
        (taken, 0) if taken == count => {
            println!("take-messages: {taken} messages");
            Ok(())
        }
        (taken, wrong) => Err(format!("{taken} messages were right, {wrong} wrong")),
    }
}

fn take(from: EnvironmentId, message: &mut Message) -> Next {
    let due = TAKEN.load(Ordering::Relaxed) + 1;
    let right =
        u64::from(from.0) == CLIENT.load(Ordering::Relaxed) && *message == Message::from_seed(due);
    let counter = if right { &TAKEN } else { &WRONG };
    counter.fetch_add(1, Ordering::Relaxed);
    Next::Return
}
