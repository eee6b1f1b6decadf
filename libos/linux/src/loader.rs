//! Brings an executable into memory.

use exo_abi::Rights;
use exo_abi::address::PAGE_SIZE;
use exo_rt::program_memory;

use crate::errno::{Errno, Result};
use crate::executable::{Executable, Segment};
use crate::memory::Memory;
use crate::memory::region::Kind;
use crate::options::Attachment;

/// Where executables go that may be loaded anywhere.
const RELOCATED_BASE: u64 = 0x4000_0000;

/// What the start of a program needs to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// What is added to every address of the file.
    pub bias: u64,
    /// First instruction.
    pub entry: u64,
    /// Program headers.
    pub headers_address: u64,
    /// How many.
    pub header_count: u64,
}

/// Where an executable is loaded.
pub fn bias(executable: &Executable) -> u64 {
    if executable.is_relocatable {
        RELOCATED_BASE
    } else {
        0
    }
}

/// Maps all segments. Code and constants are the pages of the file themselves; what may be written is a copy.
pub fn load(memory: &mut Memory, executable: &Executable, file: Attachment) -> Result<Loaded> {
    let bias = bias(executable);
    let file_frame = file.physical / PAGE_SIZE;
    for segment in &executable.segments {
        if segment.rights.contains(Rights::WRITE) || segment.memory_bytes > segment.file_bytes {
            load_copy(memory, segment, bias, file)?;
        } else {
            let start = bias + segment.address / PAGE_SIZE * PAGE_SIZE;
            let end = bias + segment.address + segment.file_bytes;
            let first = file_frame + segment.offset / PAGE_SIZE;
            let pages = (end - start).div_ceil(PAGE_SIZE);
            memory.map_frames(start, first, pages, segment.rights, Kind::Image)?;
        }
    }
    if let Some(last) = executable.segments.last() {
        memory.set_break_start(bias + last.address + last.memory_bytes);
    }
    Ok(Loaded {
        bias,
        entry: bias + executable.entry,
        headers_address: bias + executable.headers_address,
        header_count: executable.header_count,
    })
}

/// Maps a copy of a segment, with zeros behind what the file has.
fn load_copy(memory: &mut Memory, segment: &Segment, bias: u64, file: Attachment) -> Result<()> {
    let distance = segment.address % PAGE_SIZE;
    let pages = (distance + segment.memory_bytes).div_ceil(PAGE_SIZE);
    let first = memory.take_frames(pages).ok_or(Errno::ENOMEM)?;
    program_memory::copy(
        file.view() + segment.offset,
        memory.view(first) + distance,
        segment.file_bytes,
    )?;
    let start = bias + segment.address - distance;
    memory.map_frames(start, first, pages, segment.rights, Kind::Lazy)
}
