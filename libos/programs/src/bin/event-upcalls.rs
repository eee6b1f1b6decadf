//! Reads its disk by interrupts and never waits: it computes, and event upcalls tell it what is done.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use core::sync::atomic::{AtomicU64, Ordering};

use exo_drivers::block::{Block, Buffer, Options, Request};
use exo_drivers::transport::Transport;
use exo_drivers::virtio::DEVICE_BLOCK;
use exo_rt::abi::function::QueueService;
use exo_rt::dma::DmaMemory;
use exo_rt::{environment, events, println};

exo_rt::program!(main);

/// Requests, one after the other.
const REQUESTS: u64 = 50;
/// Bytes of each.
const LENGTH: u32 = 4096;

/// Upcalls that the handler has seen.
static TOLD: AtomicU64 = AtomicU64::new(0);

fn main() -> Result<(), String> {
    let function = Transport::find(DEVICE_BLOCK, 0).map_err(|error| error.to_string())?;
    let options = Options {
        depth: 1,
        service: QueueService::Events,
    };
    let mut disk = Block::open(function, options).map_err(|error| error.to_string())?;
    let memory = DmaMemory::allocate(LENGTH.into()).map_err(|error| error.to_string())?;
    events::install(|| {
        TOLD.fetch_add(1, Ordering::Relaxed);
    })
    .map_err(|error| format!("event upcalls were refused: {error}"))?;
    for number in 0..REQUESTS {
        let buffer = Buffer {
            memory: &memory,
            offset: 0,
            length: LENGTH,
        };
        let told = TOLD.load(Ordering::Relaxed);
        disk.submit(Request::Read(number, buffer))
            .map_err(|error| error.to_string())?;
        disk.publish();
        let mut sum = 0.0f64;
        let mut steps = 0u64;
        while TOLD.load(Ordering::Relaxed) == told {
            // Registers of every sort are in use when the upcall comes.
            steps += 1;
            sum += 1.0;
        }
        if sum != steps as f64 {
            return Err(format!(
                "{steps} steps make {sum}: the upcall has changed a register"
            ));
        }
        if disk.poll().map_err(|error| error.to_string())?.is_none() {
            return Err(format!("told of request {number}, which is not done"));
        }
    }
    let (told, counted) = (TOLD.load(Ordering::Relaxed), environment::events());
    println!(
        "{told} upcalls, {} taken, {counted} events",
        events::upcalls_taken()
    );
    match told == REQUESTS && counted >= REQUESTS && u64::from(events::upcalls_taken()) == told {
        true => Ok(()),
        false => Err("the counts differ".into()),
    }
}
