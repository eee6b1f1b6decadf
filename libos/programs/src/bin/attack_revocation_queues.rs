//! Keeps requests in flight on a queue that it was given, while it is taken by force: then the device is done with its memory.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use exo_programs::Verdict;
use exo_programs::attack::{NOT_PRESENT_READ, expect_done, expect_page_fault};
use exo_programs::gifts::await_gift;
use exo_programs::raw_queue::{DATA, RawQueue};
use exo_programs::revocation::{Binding, await_farewell, serial_of, sleep_once};
use exo_programs::victim::Victim;
use exo_rt::abi::Kind;
use exo_rt::abi::address::PAGE_SIZE;
use exo_rt::abi::function::QueueService;
use exo_rt::{gate, probe, processor, revocation};

exo_rt::program!(main);

/// What the device never writes: its disk has other words.
const MARK: u64 = 0x5555_aaaa_5555_aaaa;
/// Looks at the memory afterwards.
const LOOKS: u32 = 100_000;

fn main() -> Verdict {
    Victim::await_ready();
    let (own, _) = await_gift(Kind::Queue, "owner")?;
    let binding = Binding::of(own)?;
    let mut queue = RawQueue::open(own, QueueService::Polled)?;
    queue.expect_service("before")?;
    let page = queue.bound.registers().address();

    // The test waits for this before it asks.
    sleep_once();
    // A polled queue needs no bell, which is gone with the registers.
    let fault = loop {
        if let Err(fault) = probe::read(page) {
            break fault;
        }
        if queue.is_finished() {
            queue.describe_read(queue.memory.physical(DATA), PAGE_SIZE as u32);
            queue.offer_silently(0, 1);
        }
    };
    queue.memory.write_u64(DATA, MARK);
    expect_page_fault::<()>("the page", Err(fault), NOT_PRESENT_READ, page)?;
    for look in 0..LOOKS {
        let found = queue.memory.read_u64(DATA);
        if found != MARK {
            return Err(format!("look {look}: {found:#x} was written afterwards"));
        }
        processor::pause();
    }
    while revocation::repossessed() == 0 {
        processor::pause();
    }
    binding.expect_taken(0)?;
    core::mem::forget(queue); // its registers cannot be reached any more
    expect_done("accepting nothing more", gate::capability_accept(0))?;
    await_farewell(serial_of(0))
}
