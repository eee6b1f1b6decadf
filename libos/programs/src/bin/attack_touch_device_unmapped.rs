//! Reads and writes device addresses that nobody mapped for it.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{
    NOT_PRESENT_READ, NOT_PRESENT_WRITE, PROTECTED_READ, expect_page_fault,
};
use exo_programs::victim::Victim;
use exo_rt::abi::address::{DEVICE_HOLE, KERNEL_DEVICES};
use exo_rt::{environment, probe, window};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let record = environment::functions()
        .next()
        .expect("an own function")
        .entry
        .record;
    for physical in [record.registers, record.doorbells, record.msix] {
        for address in [physical, window::address_of(0) + physical] {
            expect_page_fault("reading", probe::read(address), NOT_PRESENT_READ, address)?;
            expect_page_fault(
                "writing",
                probe::write(address, 0),
                NOT_PRESENT_WRITE,
                address,
            )?;
        }
        let kernels = KERNEL_DEVICES + (physical - DEVICE_HOLE);
        expect_page_fault(
            "the kernel's mapping",
            probe::read(kernels),
            PROTECTED_READ,
            kernels,
        )?;
    }
    Ok(())
}
