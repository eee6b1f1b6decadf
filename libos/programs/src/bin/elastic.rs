//! Keeps as large a cache of frames as it is let, gives back what the kernel asks for, and goes on with the rest.
//!
//! Arguments: the size of the cache in MiB (8), and how many requests to answer before it ends (for ever).
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};

use exo_programs::cache::Cache;
use exo_rt::abi::address::PAGE_SIZE;
use exo_rt::revocation;
use exo_rt::{environment, gate, println};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let mut arguments = environment::arguments();
    let mut number = |default: u64| match arguments.next() {
        Some(text) => text
            .parse()
            .map_err(|_| format!("`{text}` is no number; the arguments are MiB and requests")),
        None => Ok(default),
    };
    let (size, requests) = (number(8)?, number(u64::MAX)?);
    let mut cache = Cache::new();
    cache.grow(size * (1 << 20) / PAGE_SIZE)?;
    println!("elastic: {} frames", cache.frames());
    let mut answered = 0;
    while answered < requests {
        let seen = environment::events();
        match revocation::request() {
            Some(request) => {
                cache.shrink(&request)?;
                answered += 1;
            }
            None => {
                gate::environment_wait(seen).map_err(|error| error.to_string())?;
                continue;
            }
        }
        cache.check()?;
        println!("elastic: {} frames", cache.frames());
    }
    Ok(())
}
