//! What the loader tells: start information, memory map; and the refusal to go on from what makes no sense.

use core::fmt::Arguments;

use exo_abi::address::{DEVICE_HOLE, PAGE_SHIFT, PAGE_SIZE};
use exo_abi::layout::KERNEL_TEXT;
use exo_abi::port::ExitCode;
use exo_abi::pvh::{MEMORY_RAM, MemoryEntry, StartInfo};
use exo_ledger::FrameRange;

use crate::hw::console;
use crate::hw::memory::Window;

/// Ends the machine: what the loader left is not what this kernel can start from.
pub fn refuse(reason: Arguments) -> ! {
    console::end_machine_because(ExitCode::BadBoot, reason)
}

/// The memory with the kernel in it, and the first memory above 4 GiB.
pub fn memory_ranges(low: &Window, start: &StartInfo) -> [FrameRange; 2] {
    let mut ranges = [FrameRange::default(); 2];
    for number in 0..u64::from(start.memory_map_entries) {
        let entry: MemoryEntry = read(
            low,
            start.memory_map + number * size_of::<MemoryEntry>() as u64,
            "memory map",
        );
        if entry.kind != MEMORY_RAM {
            continue;
        }
        let end = entry.address.saturating_add(entry.size);
        let range = FrameRange {
            start: entry.address.div_ceil(PAGE_SIZE),
            end: end >> PAGE_SHIFT,
        };
        let [below, above] = &mut ranges;
        if entry.address <= KERNEL_TEXT && end > KERNEL_TEXT {
            *below = range;
        } else if entry.address > DEVICE_HOLE && above.end == 0 {
            *above = range;
        }
    }
    ranges
}

/// Reads a record of the boot information.
pub fn read<T: Copy>(window: &Window, address: u64, what: &str) -> T {
    match window.read(address) {
        Some(record) => record,
        None => refuse(format_args!(
            "{what} at {address:#x} lies outside the boot information"
        )),
    }
}

/// Opens a window on boot information.
pub fn open(start: u64, size: u64, what: &str) -> Window {
    match Window::open(start, size) {
        Some(window) => window,
        None => refuse(format_args!(
            "{what} at {start:#x} lies beyond the kernel's reach; give the machine less memory"
        )),
    }
}
