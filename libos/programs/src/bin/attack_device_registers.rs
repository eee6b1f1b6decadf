//! Writes nonsense to every register of its function, before and while it runs.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::raw_disk::RawDisk;
use exo_programs::victim::Victim;
use exo_rt::abi::address::PAGE_SIZE;
use exo_rt::abi::function::REGISTER_PAGES;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    RawDisk::for_each_service(attack)
}

fn attack(disk: &mut RawDisk) -> Verdict {
    for value in [u32::MAX, 0, 0x5a5a_5a5a] {
        for page in 0..REGISTER_PAGES {
            // The structures are short; behind them is nothing.
            for offset in (0..0x80)
                .chain([0x800, 0x804, 0xffc])
                .map(|offset| page * PAGE_SIZE + offset)
            {
                let registers = disk.transport.registers();
                registers.write_u8(offset, value as u8);
                if offset % 4 == 0 {
                    registers.write_u32(offset, value);
                    registers.write_u16(offset, value as u16);
                }
            }
        }
        disk.transport.ring(0);
        disk.restart()?;
        disk.expect_service("nonsense")?;
    }
    Ok(())
}
