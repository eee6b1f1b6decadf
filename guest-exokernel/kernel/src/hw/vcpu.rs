//! What each vCPU has of its own: stacks, task state segment, number.

use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use exo_abi::address::KERNEL_BASE;
pub use exo_abi::bundle::VCPUS_MAX;
use exo_abi::layout::KERNEL_DATA;
use exo_abi::port::PORTS_END;

/// log2 of the size and alignment of an [`Area`].
pub const AREA_SHIFT: u32 = 14;
/// Offset in an area of the top of the stack for device interrupts.
pub const INTERRUPT_STACK_TOP: usize = 0x2000;
/// Offset in an area of the top of the stack for NMI, double fault and machine check.
pub const FAULT_STACK_TOP: usize = 0x3000;
/// First vector that a device interrupt can have.
pub const FIRST_DEVICE_VECTOR: usize = 0x40;
/// How many.
pub const DEVICE_VECTORS: usize = 64;
/// Vector by which one vCPU interrupts another: behind those of devices.
pub const NEIGHBOUR_VECTOR: usize = FIRST_DEVICE_VECTOR + DEVICE_VECTORS;
/// Offset of the port bitmap in a task state segment, whose fixed part it follows.
pub const PORT_BITMAP: usize = 104;
/// Words of the bitmap.
pub const PORT_WORDS: usize = PORTS_END as usize / 64;
/// Bytes of the bitmap, and the byte of ones that must follow.
pub const PORT_BITMAP_SIZE: usize = PORT_WORDS * 8 + 1;
/// Distance of task state segments.
pub const TASK_STATE_STRIDE: usize = 256;
/// Where a bitmap that is not there starts: behind the limit of the segment (Intel SDM volume 1, section 19.5.2).
pub const NO_PORT_BITMAP: usize = TASK_STATE_STRIDE;
/// Offset of RSP0 in a task state segment.
const RSP0: usize = 4;
/// Offset of the word that says where the bitmap starts.
const PORT_BITMAP_BASE: usize = 102;

/// Memory of one vCPU: this header, then its stacks. Aligned to its size, so that a stack pointer tells whose it is.
#[repr(C, align(16384))]
pub struct Area {
    /// Address of RSP0, which tells whose exceptions come here, in the task state segment.
    pub exception_stack: u64,
    /// Stack pointer of ring 3 while `syscall` changes stacks.
    pub user_stack: u64,
    /// Number of this vCPU.
    index: u64,
    stacks: UnsafeCell<[u8; (1 << AREA_SHIFT) - 24]>,
}

const _: () = assert!(size_of::<Area>() == 1 << AREA_SHIFT);

/// One area per vCPU.
#[repr(transparent)]
pub struct Areas(UnsafeCell<[Area; VCPUS_MAX]>);

// SAFETY: each vCPU writes its own area only.
unsafe impl Sync for Areas {}

pub static VCPU_AREAS: Areas = Areas(UnsafeCell::new(
    [const {
        Area {
            exception_stack: 0,
            user_stack: 0,
            index: 0,
            stacks: UnsafeCell::new([0; (1 << AREA_SHIFT) - 24]),
        }
    }; VCPUS_MAX],
));

/// Address of the area of vCPU `index`.
fn area_address(index: usize) -> u64 {
    (&raw const VCPU_AREAS) as u64 + ((index as u64) << AREA_SHIFT)
}

/// Top of the kernel stack of vCPU `index`.
pub fn kernel_stack(index: usize) -> u64 {
    area_address(index) + (1 << AREA_SHIFT)
}

/// Writes the header of this vCPU's area; returns the area's address, which the GS base of the kernel is.
pub fn start_area(index: usize) -> u64 {
    let address = area_address(index);
    let field = |offset: usize| (address + offset as u64) as *mut u64;
    // SAFETY: 1. the area exists, since index < VCPUS_MAX; 2. only this vCPU uses it.
    unsafe { field(offset_of!(Area, exception_stack)).write(task_state(index, RSP0)) };
    // SAFETY: as above.
    unsafe { field(offset_of!(Area, index)).write(index as u64) };
    address
}

/// Number of the vCPU that runs this.
pub fn index() -> usize {
    let stack: u64;
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, rsp", out(reg) stack, options(nomem, nostack, preserves_flags))
    };
    let area = stack & !((1 << AREA_SHIFT) - 1);
    let index = (area + offset_of!(Area, index) as u64) as *const u64;
    // SAFETY: the kernel runs on stacks inside areas only, and `start_area` wrote this one before anything asks.
    unsafe { index.read() as usize }
}

/// Address of a byte in the task state segment of vCPU `index`.
fn task_state(index: usize, offset: usize) -> u64 {
    KERNEL_BASE + KERNEL_DATA + (index * TASK_STATE_STRIDE + offset) as u64
}

/// Says where the CPU pushes exceptions of ring 3 from now on.
pub fn set_exception_stack(index: usize, address: u64) {
    let rsp0 = task_state(index, RSP0);
    // RSP0 is at a multiple of 4, so it is written in halves; no exception of ring 3 can come between.
    for (half, value) in [(rsp0, address as u32), (rsp0 + 4, (address >> 32) as u32)] {
        // SAFETY: the task state segments are this kernel's data at a fixed address (tables.S), written by this vCPU only.
        unsafe { (half as *mut u32).write_volatile(value) };
    }
}

/// Says where the I/O bitmap of vCPU `index` starts: at [`PORT_BITMAP`], or at [`NO_PORT_BITMAP`].
pub fn set_port_bitmap(index: usize, offset: usize) {
    let field = task_state(index, PORT_BITMAP_BASE) as *mut u16;
    // SAFETY: as in `set_exception_stack`; it lies at a multiple of 2.
    unsafe { field.write_volatile(offset as u16) };
}

/// Replaces the I/O bitmap of vCPU `index`: ports that ring 3 may use have a one in `allowed`.
pub fn write_port_bitmap(index: usize, allowed: &[AtomicU64; PORT_WORDS]) {
    let bitmap = task_state(index, PORT_BITMAP) as *mut u64;
    for (number, word) in allowed.iter().enumerate() {
        let place = bitmap.wrapping_add(number);
        // SAFETY: as in `set_exception_stack`; the bitmap has so many words, and starts at a multiple of 8.
        unsafe { place.write_volatile(!word.load(Ordering::Relaxed)) };
    }
}
