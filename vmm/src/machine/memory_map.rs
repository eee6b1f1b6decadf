//! Where everything lies in guest-physical memory at boot.

use exo_abi::address::{BLOCK_SIZE, DEVICE_HOLE, align_up};
use exo_abi::layout::{KERNEL_LIMIT, Layout, MEMORY_MAX, memory_end};

use crate::error::Error;
use crate::image::bundle::Bundle;
use crate::image::executable::Executable;
use crate::image::size::Size;

/// The `hvm_start_info`, with the lists it points to behind it.
pub const START_INFO: u64 = 0x6000;
/// The command line.
pub const COMMAND_LINE: u64 = 0x7000;
/// End (exclusive) of what the boot protocol leaves in memory.
pub const BOOT_DATA_END: u64 = 0x8000;

/// The map of one machine.
#[derive(Clone, Copy, Debug)]
pub struct MemoryMap {
    /// Bytes of memory, attached blocks included.
    pub memory: u64,
    /// The kernel's own layout, as the kernel computes it too.
    pub layout: Layout,
    /// Where the bundle lies.
    pub bundle: u64,
    /// End (exclusive) of what environments are granted at boot.
    pub grants_end: u64,
}

impl MemoryMap {
    /// Places kernel and bundle, or says how much memory would be enough.
    pub fn new(kernel: &Executable, bundle: &Bundle, memory: Size) -> Result<Self, Error> {
        let kernel_end = kernel_end(kernel)?;
        if let Some(map) = Self::place(kernel_end, bundle, memory.0) {
            return Ok(map);
        }
        let mut enough = memory.0.next_power_of_two();
        while enough < MEMORY_MAX && Self::place(kernel_end, bundle, enough).is_none() {
            enough *= 2;
        }
        Err(Error::Usage(if enough < MEMORY_MAX {
            format!(
                "{memory} of memory are too little for this image ({} of programs, {} granted); give --memory {} or more",
                Size(bundle.bytes()),
                Size(bundle.grant_blocks() * BLOCK_SIZE),
                Size(enough)
            )
        } else {
            format!(
                "no machine has enough memory for this image ({} of programs, {} granted); lower the manifest's memory and quotas",
                Size(bundle.bytes()),
                Size(bundle.grant_blocks().saturating_mul(BLOCK_SIZE))
            )
        }))
    }

    /// The map, if all fits: the kernel, the bundle in memory that the kernel can map, the grants.
    fn place(kernel_end: u64, bundle: &Bundle, memory: u64) -> Option<Self> {
        let whole = bundle.files.memory().max(memory);
        let layout = Layout::new(bundle.sizes(kernel_end, memory_end(whole)))?;
        let bundle_end = align_up(layout.end.checked_add(bundle.bytes())?, BLOCK_SIZE)?;
        let needed = bundle
            .grant_blocks()
            .checked_mul(BLOCK_SIZE)?
            .checked_add(bundle_end)?;
        (bundle_end <= KERNEL_LIMIT.min(memory).min(DEVICE_HOLE) && needed <= memory).then_some(
            Self {
                memory: whole,
                layout,
                bundle: layout.end,
                grants_end: needed,
            },
        )
    }
}

/// End (exclusive) of the kernel in physical memory.
fn kernel_end(kernel: &Executable) -> Result<u64, Error> {
    let mut end = 0;
    for segment in &kernel.segments {
        let segment_end = segment.physical.saturating_add(segment.memory_size);
        if segment.physical < BOOT_DATA_END || segment_end > KERNEL_LIMIT {
            return Err(kernel.bad(&format!(
                "has a segment at physical {:#x}..{segment_end:#x}, outside {BOOT_DATA_END:#x}..{KERNEL_LIMIT:#x}; link it anew",
                segment.physical
            )));
        }
        end = end.max(segment_end);
    }
    Ok(end)
}

#[cfg(test)]
#[path = "memory_map_test.rs"]
mod tests;
