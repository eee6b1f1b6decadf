//! `send-messages SERVER COUNT`: transfers asynchronously so often, and goes on each time with clear registers and without a reply.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;

use exo_programs::entries::await_entry;
use exo_programs::sharing::environment_named;
use exo_rt::abi::Error;
use exo_rt::transfer::Message;
use exo_rt::{environment, gate, wait};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let mut arguments = environment::arguments();
    let (Some(server), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err(String::from("arguments: SERVER COUNT"));
    };
    let count: u64 = count
        .parse()
        .map_err(|_| String::from("COUNT is a number"))?;
    let entry = await_entry(environment_named(&server)).map_err(|error| format!("{error}"))?;
    for number in 1..=count {
        let sent = Message::from_seed(number);
        let mut message = sent;
        while let Err(error) = gate::transfer_asynchronous(entry, &mut message) {
            if error != Error::Unwilling || message != sent {
                return Err(format!("message {number}: {error}, {message:x?}"));
            }
            wait::yield_now();
        }
        if message != Message::EMPTY {
            return Err(format!("message {number} has left {message:x?}"));
        }
    }
    Ok(())
}
