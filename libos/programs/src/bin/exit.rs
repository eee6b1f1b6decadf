//! `exit STATUS`: ends with that status.
#![no_std]
#![no_main]

use exo_rt::{environment, println};

exo_rt::program!(main);

fn main() -> u64 {
    match environment::arguments()
        .next()
        .and_then(|argument| argument.parse().ok())
    {
        Some(status) => status,
        None => {
            println!("exit: the argument is a status, a number");
            1
        }
    }
}
