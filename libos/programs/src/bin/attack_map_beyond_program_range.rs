//! Maps, protects and unmaps what is not the libOS's to map: page zero, unaligned, non-canonical, the kernel's half.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_error, expect_map_error};
use exo_programs::victim::Victim;
use exo_rt::abi::Error;
use exo_rt::abi::address::{KERNEL_BASE, KERNEL_DEVICES, PAGE_SIZE, PROGRAM_BASE, PROGRAM_END};
use exo_rt::abi::map::MapEntry;
use exo_rt::gate;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let aligned = allowed_mapping().address;
    let addresses = [
        (0, 1), // page zero
        (PROGRAM_BASE - PAGE_SIZE, 2),
        (aligned + 1, 1), // unaligned
        (aligned + PAGE_SIZE / 2, 1),
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
        let entry = MapEntry {
            address,
            pages,
            ..allowed_mapping()
        };
        expect_map_error("page_map", entry, Error::BadAddress)?;
        expect_error(
            "page_protect",
            gate::page_protect(&[entry]),
            Error::BadAddress,
        )?;
        expect_error("page_unmap", gate::page_unmap(&[entry]), Error::BadAddress)?;
    }
    Ok(())
}
