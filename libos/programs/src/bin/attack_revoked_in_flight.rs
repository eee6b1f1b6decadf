//! Keeps its queue reading into frames that it was given, until frames and queue are taken from it.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{NOT_PRESENT_READ, expect_done, expect_equal, expect_page_fault};
use exo_programs::gifts::await_gift;
use exo_programs::raw_queue::{DATA, RawQueue};
use exo_programs::victim::Victim;
use exo_rt::abi::address::PAGE_SIZE;
use exo_rt::abi::function::{QueueService, StopReason};
use exo_rt::abi::{Kind, Rights};
use exo_rt::{gate, probe, tables, wait};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let (frames, entry) = await_gift(Kind::Frames, "owner")?;
    let (own, _) = await_gift(Kind::Queue, "owner")?;
    let (first, count) = (entry.first, entry.count);
    let mut queue = RawQueue::open(own, QueueService::Events)?;
    let mapped = gate::dma_map(frames, first, count, Rights::READ_WRITE);
    let mapped = expect_done("mapping the frames for DMA", mapped)?;
    // Until the frames are taken.
    loop {
        queue.describe_read(first * PAGE_SIZE, (count * PAGE_SIZE) as u32);
        queue.offer(0, 1);
        wait::yield_now();
        match queue.await_end()? {
            Ok(_) => {}
            Err(reason) => {
                expect_equal("why it stopped", reason, StopReason::BufferAddress)?;
                break;
            }
        }
    }
    let stale = tables::capability(mapped.slot());
    let stale = stale.is_none_or(|entry| entry.generation != mapped.generation());
    expect_equal("whether the DMA right is stale", stale, true)?;
    // Until the queue is taken: its page is gone then.
    queue.restart();
    queue.expect_service("with its own memory")?;
    let page = queue.bound.registers().address();
    expect_done("accepting nothing more", gate::capability_accept(0))?;
    queue.describe_read(queue.memory.physical(DATA), PAGE_SIZE as u32);
    queue.offer(0, 1);
    core::mem::forget(queue); // its registers cannot be reached any more
    loop {
        if let Err(fault) = probe::read(page) {
            return expect_page_fault::<()>("the page", Err(fault), NOT_PRESENT_READ, page);
        }
        wait::yield_now();
    }
}
