//! Spoils the rings of its queue in every way, while another environment uses the next queue of the same function; ends with
//! requests in flight.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use exo_drivers::virtio::descriptor::NEXT;
use exo_programs::Verdict;
use exo_programs::gifts::{await_gift, environment_named};
use exo_programs::raw_queue::{DATA, RawQueue, SIZE};
use exo_programs::victim::Victim;
use exo_rt::abi::Kind;
use exo_rt::abi::address::{FRAME_WINDOW, PAGE_SIZE};
use exo_rt::abi::function::{QueueService, StopReason};
use exo_rt::abi::layout::KERNEL_DATA;
use exo_rt::tables;

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready();
    let bystander = environment_named("bystander")?;
    let of_bystander = tables::find_frame(bystander, |_| true);
    let foreign = of_bystander.ok_or("the bystander has no memory")? * PAGE_SIZE;
    let (own, _) = await_gift(Kind::Queue, "owner")?;
    let mut queue = RawQueue::open(own, QueueService::Events)?;
    for service in [QueueService::Events, QueueService::Polled] {
        queue.service = service;
        queue.restart();
        queue.expect_service("at first")?;
        for address in [victim.physical(), foreign, KERNEL_DATA, FRAME_WINDOW] {
            attack(&mut queue, address).map_err(|error| format!("{service}: {error}"))?;
        }
    }
    queue.describe_read(queue.memory.physical(DATA), PAGE_SIZE as u32);
    for _ in 0..SIZE {
        queue.offer(0, 1);
    }
    core::mem::forget(queue); // nothing is put in order
    Ok(())
}

/// Everything that a driver can get wrong, once; `address` is one that the queue may not reach.
fn attack(queue: &mut RawQueue, address: u64) -> Verdict {
    for place in 0..3 {
        let mut addresses = queue.addresses();
        addresses[place] = address;
        queue.restart_with(SIZE, addresses);
        queue.expect_stop("a ring elsewhere", StopReason::RingAddress)?;
    }
    for size in [0, 3, 512, u16::MAX] {
        queue.restart_with(size, queue.addresses());
        queue.expect_stop("an odd size", StopReason::QueueSize)?;
    }
    queue.describe_read(address, PAGE_SIZE as u32);
    queue.offer(0, 1);
    queue.expect_stop("a buffer elsewhere", StopReason::BufferAddress)?;
    queue.offer(SIZE, 1);
    queue.expect_stop("a head outside", StopReason::DescriptorIndex)?;
    queue.offer(0, SIZE + 1);
    queue.expect_stop("an index that jumps", StopReason::AvailableIndex)?;
    queue.describe(0, queue.memory.physical(DATA), 16, NEXT, 0);
    queue.offer(0, 1);
    queue.expect_stop("a loop", StopReason::ChainTooLong)
}
