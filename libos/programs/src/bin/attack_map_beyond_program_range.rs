//! Maps, protects and unmaps what is not the libOS's to map: page zero, unaligned, non-canonical, the kernel's half, runs that
//! leave their page table.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{PLAYGROUND, expect_bad_address};
use exo_programs::victim::Victim;
use exo_rt::abi::address::{
    BLOCK_FRAMES, BLOCK_SIZE, KERNEL_BASE, KERNEL_DEVICES, PAGE_SIZE, PROGRAM_BASE, PROGRAM_END,
};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let addresses = [
        (0, 1), // page zero
        (PROGRAM_BASE - PAGE_SIZE, 2),
        (PLAYGROUND + 1, 1), // unaligned
        (PLAYGROUND + PAGE_SIZE / 2, 1),
        (PLAYGROUND + BLOCK_SIZE - PAGE_SIZE, 2), // out of its page table
        (PLAYGROUND + PAGE_SIZE, BLOCK_FRAMES as u32),
        (PROGRAM_END, 1),
        (PROGRAM_END - PAGE_SIZE, 2), // across the end
        (0x0000_8000_0000_0000, 1),   // non-canonical
        (0x7fff_ffff_ffff_f000, 1),
        (0xffff_7fff_ffff_f000, 1),
        (0xffff_8000_0000_0000, 1), // the kernel's half
        (KERNEL_BASE, 1),
        (KERNEL_DEVICES, 1),
        (u64::MAX - (PAGE_SIZE - 1), 1),
        (u64::MAX - (PAGE_SIZE - 1), 2), // across the top
    ];
    for (address, pages) in addresses {
        expect_bad_address(address, pages)?;
    }
    Ok(())
}
