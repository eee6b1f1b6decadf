//! `transfer-server [yield] CLIENT...`: answers the transfers of these environments, and sees that each arrives exactly, once and in order;
//! with `yield` it lets others run, three times, before it replies.
//!
//! A message is made from its number, counted from 1, and the reply from its complement; number 0 is the last.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use exo_programs::entries::offer;
use exo_programs::sharing::environment_named;
use exo_rt::abi::EnvironmentId;
use exo_rt::abi::environment::{ENVIRONMENTS_MAX, State};
use exo_rt::transfer::{self, Message, Next};
use exo_rt::{environment, println, tables, wait};

exo_rt::program!(main);

/// Transfers so far, by environment.
static COUNTS: [AtomicU64; ENVIRONMENTS_MAX] = [const { AtomicU64::new(0) }; ENVIRONMENTS_MAX];
/// Messages that were not as they should have been.
static WRONG: AtomicU64 = AtomicU64::new(0);
/// Clients that have not sent their last.
static CLIENTS: AtomicU64 = AtomicU64::new(0);

/// Yields before each reply.
static YIELDS: AtomicU64 = AtomicU64::new(0);

fn main() -> Result<(), String> {
    let mut arguments = environment::arguments().peekable();
    if arguments.next_if(|first| first == "yield").is_some() {
        YIELDS.store(3, Ordering::Relaxed);
    }
    let clients: Vec<EnvironmentId> = arguments.map(|name| environment_named(&name)).collect();
    CLIENTS.store(clients.len() as u64, Ordering::Relaxed);
    let entry = transfer::accept(answer).map_err(|error| alloc::format!("accept: {error}"))?;
    for &client in &clients {
        offer(entry, client).map_err(|error| alloc::format!("offer: {error}"))?;
    }
    while CLIENTS.load(Ordering::Relaxed) != 0 {
        transfer::wait(environment::events());
        // Who waits for a transfer has no turn: it would go on as one that waits.
        if tables::own_environment().state != State::Runnable as u32 {
            return Err("it has a turn although it waits".into());
        }
    }
    let wrong = WRONG.load(Ordering::Relaxed);
    if wrong != 0 {
        return Err(alloc::format!("{wrong} messages were wrong"));
    }
    let all: u64 = COUNTS
        .iter()
        .map(|count| count.load(Ordering::Relaxed))
        .sum();
    println!("transfer-server: {all} messages");
    Ok(())
}

fn answer(from: EnvironmentId, message: &mut Message) -> Next {
    let number = message.seed();
    let wrong = |_| WRONG.fetch_add(1, Ordering::Relaxed);
    if *message != Message::from_seed(number) {
        wrong(());
    }
    for _ in 0..YIELDS.load(Ordering::Relaxed) {
        wait::yield_now();
    }
    *message = Message::from_seed(!number);
    if number == 0 {
        CLIENTS.fetch_sub(1, Ordering::Relaxed);
        return Next::ReplyAndReturn;
    }
    let before = COUNTS[usize::from(from.0) - 1].fetch_add(1, Ordering::Relaxed);
    if number != before + 1 {
        wrong(());
    }
    Next::Reply
}
