//! The kernel's view of physical memory: its own part, and, at boot only, the start information and the bundle.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::{ptr, slice};

use exo_abi::address::{BLOCK_FRAMES, BLOCK_SIZE, KERNEL_BASE, PAGE_SIZE};
use exo_abi::layout::{KERNEL_DATA, KERNEL_LIMIT, Layout, Table};
use exo_ledger::Tables;

use super::registers;

unsafe extern "C" {
    static kernel_end: u8;
    static kernel_directory: Directory;
    static shared_directory: Directory;
    static boot_root: Directory;
    static kernel_directories: Directory;
    static shared_directories: Directory;
}

/// A page-directory of tables.S: 512 entries.
#[repr(transparent)]
pub struct Directory(UnsafeCell<[u64; 512]>);

// SAFETY: written at boot by vCPU 0 only, before the others start.
unsafe impl Sync for Directory {}

/// Large page, readable and writable by the kernel, not executable.
const KERNEL_BLOCK: u64 = 1 << 63 | 0x83;
/// Large page, readable by everyone, not executable.
const EXPORTED_BLOCK: u64 = 1 << 63 | 0x85;

/// Physical address of something of the kernel's.
fn physical<T>(thing: *const T) -> u64 {
    thing as u64 - KERNEL_BASE
}

/// End (exclusive) of the kernel's data in physical memory.
pub fn end_of_kernel() -> u64 {
    physical(&raw const kernel_end)
}

/// Root of the kernel's own address space, for idle vCPUs.
pub fn kernel_root() -> u64 {
    physical(&raw const boot_root)
}

/// What the last root entry of every environment points to.
pub fn kernel_directories_address() -> u64 {
    physical(&raw const kernel_directories)
}

/// What the root entry of the shared part of every environment points to.
pub fn shared_directories_address() -> u64 {
    physical(&raw const shared_directories)
}

fn set_entry(directory: &Directory, index: u64, value: u64) {
    let entry = directory
        .0
        .get()
        .cast::<u64>()
        .wrapping_add((index & 511) as usize);
    // SAFETY: inside the directory, after masking.
    unsafe { entry.write_volatile(value) };
}

/// Maps the kernel's memory up to `end`, and the exported tables for all environments. Cost: one store per block beyond the
/// static one.
pub fn map_kernel(layout: &Layout) {
    let first = KERNEL_DATA / BLOCK_SIZE + 1;
    for block in first..layout.end / BLOCK_SIZE {
        // SAFETY: `Layout` ends below KERNEL_LIMIT, which one directory maps; the entries were empty.
        set_entry(
            unsafe { &kernel_directory },
            block,
            (block * BLOCK_SIZE) | KERNEL_BLOCK,
        );
    }
    let exported = layout.exported / BLOCK_SIZE;
    for block in exported..layout.end / BLOCK_SIZE {
        // SAFETY: as above; entry 0 is the interface page's.
        set_entry(
            unsafe { &shared_directory },
            block - exported + 1,
            (block * BLOCK_SIZE) | EXPORTED_BLOCK,
        );
    }
}

/// Where the kernel sees the summary whatever the layout, so that assembly needs no pointer to it.
pub const SUMMARY: u64 = KERNEL_BASE + KERNEL_LIMIT - 2 * BLOCK_SIZE;

/// Maps it there. The window of boot must be closed: it may have shown other memory there.
pub fn map_summary(layout: &Layout) {
    let entry = layout.exported | KERNEL_BLOCK;
    // SAFETY: below 512; `Layout` leaves the entry to this.
    set_entry(
        unsafe { &kernel_directory },
        KERNEL_LIMIT / BLOCK_SIZE - 2,
        entry,
    );
    registers::flush_page(SUMMARY);
}

/// A view of memory that is not the kernel's, for as long as it is needed at boot.
pub struct Window {
    first_block: u64,
    blocks: u64,
}

impl Window {
    /// Maps the blocks of `start..start + size`; `None` where they lie beyond what the kernel can map.
    pub fn open(start: u64, size: u64) -> Option<Self> {
        let end = start.checked_add(size)?;
        if end > KERNEL_LIMIT {
            return None;
        }
        let first_block = start / BLOCK_SIZE;
        let window = Self {
            first_block,
            blocks: end.div_ceil(BLOCK_SIZE) - first_block,
        };
        for block in first_block.max(KERNEL_DATA / BLOCK_SIZE + 1)..first_block + window.blocks {
            // SAFETY: below KERNEL_LIMIT.
            set_entry(
                unsafe { &kernel_directory },
                block,
                (block * BLOCK_SIZE) | KERNEL_BLOCK,
            );
        }
        Some(window)
    }

    /// A value in the window; `None` outside. Loaders align their records to 4 bytes at most.
    pub fn read<T: Copy>(&self, address: u64) -> Option<T> {
        let start = self.first_block * BLOCK_SIZE;
        let end = start + self.blocks * BLOCK_SIZE;
        let last = address.checked_add(size_of::<T>() as u64)?;
        if address < start || last > end {
            return None;
        }
        // SAFETY: 1. mapped and in bounds, as checked; 2. T is an ABI record, for which every bit pattern is valid; 3. nobody
        // writes boot information while the kernel boots.
        Some(unsafe { ((KERNEL_BASE + address) as *const T).read_unaligned() })
    }

    /// Unmaps what lies beyond the kernel's own memory.
    pub fn close(self, layout: &Layout) {
        for block in self.first_block.max(layout.end / BLOCK_SIZE)..self.first_block + self.blocks {
            // SAFETY: below KERNEL_LIMIT.
            set_entry(unsafe { &kernel_directory }, block, 0);
            registers::flush_page(KERNEL_BASE + block * BLOCK_SIZE);
        }
    }
}

/// Runs `access` with one block of physical memory writable at the address that it is given.
pub fn with_block(block: u64, access: impl FnOnce(u64)) {
    let index = KERNEL_LIMIT / BLOCK_SIZE - 1;
    let address = KERNEL_BASE + index * BLOCK_SIZE;
    // SAFETY: below 512; `Layout` leaves the last entry to this.
    set_entry(
        unsafe { &kernel_directory },
        index,
        (block * BLOCK_SIZE) | KERNEL_BLOCK,
    );
    // Before, not after: another vCPU may have had another block here, and this one may have looked it up unasked.
    registers::flush_page(address);
    access(address);
    // SAFETY: as above.
    set_entry(unsafe { &kernel_directory }, index, 0);
}

/// Large page, readable by the kernel, not executable.
const KERNEL_BLOCK_READ: u64 = 1 << 63 | 0x81;

/// Shows single words of memory that is not the kernel's, a block at a time; nothing of it is mapped before and after. The kernel's lock
/// must be held: all vCPUs share the entry.
pub struct WordWindow {
    /// Block that is mapped, plus one; 0: none.
    block: u64,
}

impl WordWindow {
    const INDEX: u64 = KERNEL_LIMIT / BLOCK_SIZE - 1;

    /// Maps nothing yet.
    pub const fn new() -> Self {
        Self { block: 0 }
    }

    /// The word at a physical address of memory, a multiple of 8. Cost: a store and a flush where the block is another than before.
    pub fn read(&mut self, physical: u64) -> u64 {
        let window = KERNEL_BASE + Self::INDEX * BLOCK_SIZE;
        let block = physical / BLOCK_SIZE;
        if self.block != block + 1 {
            self.block = block + 1;
            let entry = (block * BLOCK_SIZE) | KERNEL_BLOCK_READ;
            // SAFETY: below 512; `Layout` leaves the last entry to this.
            set_entry(unsafe { &kernel_directory }, Self::INDEX, entry);
            // Before, not after, as in `with_block`.
            registers::flush_page(window);
        }
        let word = (window + physical % BLOCK_SIZE) & !7;
        // SAFETY: 1. mapped, and aligned by the mask; 2. ring 3 and devices may write it at any time, so the access is atomic, and there is
        // one.
        unsafe { AtomicU64::from_ptr(word as *mut u64) }.load(Ordering::Relaxed)
    }
}

impl Drop for WordWindow {
    fn drop(&mut self) {
        if self.block != 0 {
            // SAFETY: as in `read`.
            set_entry(unsafe { &kernel_directory }, Self::INDEX, 0);
        }
    }
}

/// Zeroes frames. Bulk work in ring 0, for machines without a control device only.
pub fn zero_frames(first: u64, count: u64) {
    for frame in first..first + count {
        with_block(frame / BLOCK_FRAMES, |address| {
            let page = address + frame % BLOCK_FRAMES * PAGE_SIZE;
            // SAFETY: mapped by `with_block`; nobody owns the frame.
            unsafe { ptr::write_bytes(page as *mut u8, 0, PAGE_SIZE as usize) };
        });
    }
}

/// Memory that is handed out once.
pub struct Once<T>(UnsafeCell<T>, AtomicBool);

// SAFETY: `take` gives the value to one caller.
unsafe impl<T: Send> Sync for Once<T> {}

impl<T> Once<T> {
    /// Not handed out yet.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value), AtomicBool::new(false))
    }

    /// The memory, for the first who asks.
    #[allow(clippy::mut_from_ref)] // the flag makes it the only reference
    pub fn take(&'static self) -> Option<&'static mut T> {
        if self.1.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: nobody else gets it.
        Some(unsafe { &mut *self.0.get() })
    }
}

fn table<T>(table: Table) -> &'static mut [T] {
    // SAFETY: 1. `Layout` keeps tables apart, aligned and inside the kernel's mapped memory; 2. each is taken once, at boot;
    // 3. ring 3 can only read them; 4. zero is a valid entry of each, and memory arrives zeroed.
    unsafe {
        slice::from_raw_parts_mut((KERNEL_BASE + table.start) as *mut T, table.count as usize)
    }
}

/// The exported tables of `layout`. To be called once.
pub fn exported_tables(layout: &Layout) -> Tables<'static> {
    // SAFETY: as in `table`: the summary is the first thing in the exported tables.
    let summary = unsafe { &mut *((KERNEL_BASE + layout.exported) as *mut _) };
    Tables {
        summary,
        environments: table(layout.environments),
        functions: table(layout.functions),
        slices: table(layout.slices),
        revocations: table(layout.revocations),
        capabilities: table(layout.capabilities),
        blocks: table(layout.blocks),
        frames: table(layout.frames),
    }
}
