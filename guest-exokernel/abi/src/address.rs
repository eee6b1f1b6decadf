//! Page sizes and the address space of an environment.
//!
//! | from | to | what | who may write |
//! |---|---|---|---|
//! | `PROGRAM_BASE` | `PROGRAM_END` | whatever the libOS maps with `page_map` | as it maps it |
//! | `FRAME_WINDOW` | + 512 GiB | frame n of this environment, at `FRAME_WINDOW + n * 4096` | libOS; not executable |
//! | `PAGE_TABLES` | + 512 GiB | the page tables of this environment | kernel |
//! | `ENVIRONMENT_PAGE` | + 4 KiB | what this environment was given; exception frames | kernel |
//! | `CALL_PAGE` | + 4 KiB | batches, upcall credit, event counters | libOS and kernel |
//! | `VECTOR_PAGE` | + 4 KiB | vector registers over a forced switch, where ring 0 cannot save them | libOS |
//! | `INTERFACE_PAGE` | + 4 KiB | kernel interface page, with the gate | kernel |
//! | `EXPORTED_TABLES` | | the exported tables | kernel |
//! | `KERNEL_BASE` | top | kernel, supervisor only | kernel |

/// Bytes in a page, and in a frame.
pub const PAGE_SIZE: u64 = 4096;
/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// Most colours that `frame_allocate` tells frames apart by: number modulo colours.
pub const COLOURS_MAX: u64 = 512;
/// Bytes in a block: 512 frames, one 2 MiB page.
pub const BLOCK_SIZE: u64 = 2 << 20;
/// log2 of the frames in a block, which is also the order by which `frame_allocate` asks for blocks.
pub const BLOCK_ORDER: u32 = 9;
/// Frames in a block.
pub const BLOCK_FRAMES: u64 = 1 << BLOCK_ORDER;

/// Lowest address that a libOS may map: page zero stays unmapped, so that a null pointer faults.
pub const PROGRAM_BASE: u64 = 0x1000;
/// End (exclusive) of what a libOS may map.
pub const PROGRAM_END: u64 = 0x4000_0000_0000;
/// Frame n of the environment is mapped at `FRAME_WINDOW + n * PAGE_SIZE`: the address tells the physical name.
pub const FRAME_WINDOW: u64 = 0x4000_0000_0000;
/// Bytes that the frame window can show: all physical addresses below 512 GiB.
pub const FRAME_WINDOW_SIZE: u64 = 1 << 39;
/// The page tables of this environment: the entry for page p, 8 bytes as the CPU reads it, at `PAGE_TABLES + p * 8`. See
/// [`entry_address`] for what has to be there first.
pub const PAGE_TABLES: u64 = 0x7e80_0000_0000;
/// The [`crate::environment::EnvironmentPage`] of this environment.
pub const ENVIRONMENT_PAGE: u64 = 0x7f00_0000_0000;
/// The [`crate::environment::CallPage`] of this environment.
pub const CALL_PAGE: u64 = ENVIRONMENT_PAGE + PAGE_SIZE;
/// The vector page: where code of the interface page keeps the vector registers that ring 0 cannot reach, over a forced switch.
pub const VECTOR_PAGE: u64 = CALL_PAGE + PAGE_SIZE;
/// The [`crate::interface_page::InterfacePage`], the same in every environment.
pub const INTERFACE_PAGE: u64 = 0x7f80_0000_0000;
/// The exported tables; the interface page says what lies where.
pub const EXPORTED_TABLES: u64 = INTERFACE_PAGE + BLOCK_SIZE;
/// Physical address p of the kernel's own memory is mapped at `KERNEL_BASE + p`.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8000_0000;
/// Physical address p in the device hole is mapped for the kernel at `KERNEL_DEVICES + (p - DEVICE_HOLE)`.
pub const KERNEL_DEVICES: u64 = 0xffff_ffff_c000_0000;

/// End (exclusive) of the canonical lower half, where ring 3 lives.
pub const LOWER_HALF_END: u64 = 1 << 47;

/// Physical addresses from here to 4 GiB are devices, never memory.
pub const DEVICE_HOLE: u64 = 0xc000_0000;
/// End (exclusive) of the device hole.
pub const DEVICE_HOLE_END: u64 = 0x1_0000_0000;

/// Where the page-table entry for `address` (in the lower half) can be read, if there is a page table for it. Applied again, to
/// the answer, this is where the page-directory entry is that leads to that table, and so on: the fourth is in the root, which is
/// always there.
pub const fn entry_address(address: u64) -> u64 {
    PAGE_TABLES + (address >> PAGE_SHIFT) * 8
}

/// Whether `address` is a multiple of the page size.
pub const fn is_page_aligned(address: u64) -> bool {
    address & (PAGE_SIZE - 1) == 0
}

/// Pages that hold `bytes`, rounded up.
pub const fn pages_for(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE_SIZE)
}

/// The smallest multiple of `alignment` (a power of two) that is not below `address`; `None` where there is none.
pub const fn align_up(address: u64, alignment: u64) -> Option<u64> {
    match address.checked_add(alignment - 1) {
        Some(sum) => Some(sum & !(alignment - 1)),
        None => None,
    }
}
