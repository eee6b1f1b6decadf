//! `transfer-client SERVER COUNT [slice] [yield]`: transfers so often, and sees that each reply is that to its message; with a slice of its own,
//! in which the server runs while it is to reply; with a yield behind each reply.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use exo_programs::entries::await_entry;
use exo_programs::sharing::environment_named;
use exo_rt::abi::slice::ANY_POSITION;
use exo_rt::abi::{Capability, Error};
use exo_rt::transfer::Message;
use exo_rt::{environment, gate, tables, wait};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let mut arguments = environment::arguments();
    let (Some(server), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err(String::from("arguments: SERVER COUNT"));
    };
    let count: u64 = count
        .parse()
        .map_err(|_| String::from("COUNT is a number"))?;
    let (mut slice, mut yields) = (false, false);
    for word in arguments {
        match word.as_str() {
            "slice" => slice = true,
            "yield" => yields = true,
            other => return Err(format!("what is {other}?")),
        }
    }
    if slice {
        let vcpu = tables::environment(environment::id()).map_or(0, |entry| entry.vcpu);
        let slot = gate::slice_allocate(vcpu, ANY_POSITION, 1);
        slot.map_err(|error| format!("a slice: {error}"))?;
    }
    let entry = await_entry(environment_named(&server)).map_err(|error| format!("{error}"))?;
    // The last message has number 0.
    for number in (1..=count).chain([0]) {
        let reply =
            exchange(entry, number).map_err(|error| format!("message {number}: {error}"))?;
        if reply != Message::from_seed(!number) {
            return Err(format!("message {number}: the reply is {reply:x?}"));
        }
        if yields {
            wait::yield_now();
        }
    }
    Ok(())
}

/// Transfers as soon as the server waits for it. A refusal leaves the message as it was.
fn exchange(entry: Capability, number: u64) -> Result<Message, Error> {
    let sent = Message::from_seed(number);
    let mut message = sent;
    loop {
        match gate::transfer(entry, &mut message) {
            Err(Error::Unwilling) => {
                assert_eq!(message, sent, "a refused transfer changed registers");
                wait::yield_now();
            }
            answer => return answer.map(|()| message),
        }
    }
}
