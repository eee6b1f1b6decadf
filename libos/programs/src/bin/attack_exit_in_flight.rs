//! Ends with requests in flight: its frames may only be given away when they are done.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::raw_disk::RawDisk;
use exo_programs::victim::Victim;
use exo_rt::abi::function::QueueService;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let disk = RawDisk::open(QueueService::Events)?;
    let mut disk = core::mem::ManuallyDrop::new(disk); // nothing is put in order
    disk.offer_reads();
    Ok(())
}
