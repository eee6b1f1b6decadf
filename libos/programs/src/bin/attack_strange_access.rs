//! Executes instructions on the registers of its function that no driver uses, and that a hypervisor has to emulate or refuse.
//!
//! Whether each is done or faults is the hypervisor's affair. The machine carries on, and the function can be reset and used.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::raw_disk::RawDisk;
use exo_programs::victim::Victim;
use exo_rt::abi::address::PAGE_SIZE;
use exo_rt::abi::function::REGISTER_PAGES;
use exo_rt::strange_access::ACCESSES;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    RawDisk::for_each_service(attack)
}

fn attack(disk: &mut RawDisk) -> Verdict {
    for page in 0..REGISTER_PAGES {
        for access in ACCESSES {
            let address = disk.transport.registers().address() + page * PAGE_SIZE;
            let _ = access.execute(address);
        }
    }
    disk.restart()?;
    disk.expect_service("strange accesses")
}
