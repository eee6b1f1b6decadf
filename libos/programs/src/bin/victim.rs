//! The victim: fills its memory with a pattern, lets everybody else run to their end, and checks that nothing has changed.
//!
//! Then it shows that the machine carries on: it maps a page, allocates a frame, and prints.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};

use exo_programs::attack::{PLAYGROUND, allowed_mapping};
use exo_programs::victim::pattern;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::dma::DmaMemory;
use exo_rt::{environment, gate, println, probe, tables, wait, window};

exo_rt::program!(main);

/// What the heap keeps for everything but the pattern.
const HEAP_REST: u64 = 64 << 10;

fn main() -> Result<(), String> {
    let size = window::grant_end() - window::slice_stack_top() - HEAP_REST;
    let memory = DmaMemory::allocate_private(size).map_err(|error| error.to_string())?;
    for offset in (0..memory.len()).step_by(8) {
        memory.write_u64(offset, pattern(memory.physical(offset)));
    }
    let own = environment::id();
    loop {
        wait::yield_now();
        if tables::environments().all(|(id, entry)| id == own || tables::has_ended(&entry)) {
            break;
        }
        exo_rt::processor::pause();
    }
    for offset in (0..memory.len()).step_by(8) {
        let (found, due) = (memory.read_u64(offset), pattern(memory.physical(offset)));
        if found != due {
            let first = (found ^ due).trailing_zeros() / 8;
            let address = memory.physical(offset) + u64::from(first);
            return Err(format!(
                "the byte at physical address {address:#x} has changed: {found:#x}, not {due:#x}"
            ));
        }
    }
    carry_on().map_err(|error| format!("the machine does not carry on: {error}"))?;
    println!("victim: {} bytes are as they were", memory.len());
    Ok(())
}

fn carry_on() -> Result<(), String> {
    gate::page_map(&[allowed_mapping()]).map_err(|error| error.to_string())?;
    probe::write(PLAYGROUND, 1).map_err(|fault| fault.to_string())?;
    gate::page_unmap(&[allowed_mapping()]).map_err(|error| error.to_string())?;
    let frame = gate::frame_allocate(ANY_FRAME, 1, 0).map_err(|error| error.to_string())?;
    gate::capability_free(frame).map_err(|error| error.to_string())
}
