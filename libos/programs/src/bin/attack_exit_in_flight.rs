//! Ends with requests in flight: its frames may only be given away when they are done.
#![no_std]
#![no_main]

use exo_drivers::virtio::block::IN;
use exo_programs::Verdict;
use exo_programs::raw_disk::{RawDisk, SIZE};
use exo_programs::victim::Victim;
use exo_rt::abi::function::QueueService;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let disk = RawDisk::open(QueueService::Events)?;
    let mut disk = core::mem::ManuallyDrop::new(disk); // nothing is put in order
    let chain = disk.request(IN, 0);
    for base in (0..SIZE - 2).step_by(3) {
        for (index, mut descriptor) in chain.into_iter().enumerate() {
            descriptor.next += base;
            disk.write(base + index as u16, descriptor);
        }
    }
    disk.offer_all((0..SIZE - 2).step_by(3));
    Ok(())
}
