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
/// Vectors of the kernel's own interrupts, which follow those of devices and are handled as they are.
pub const OWN_VECTORS: usize = 8;
/// The timer, for what is no slice.
pub const TIMER_VECTOR: usize = FIRST_DEVICE_VECTOR + DEVICE_VECTORS;
/// Another vCPU has made an environment of this one runnable.
pub const WAKE_VECTOR: usize = TIMER_VECTOR + 1;
/// The timer, at the end of a slice: comes on the slice stack of whoever runs.
pub const SLICE_VECTOR: usize = FIRST_DEVICE_VECTOR + DEVICE_VECTORS + OWN_VECTORS;
/// Another vCPU wants this one to forget translations.
pub const NEIGHBOUR_VECTOR: usize = SLICE_VECTOR + 1;
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
pub const RSP0: usize = 4;
/// Offset of the word that says where the bitmap starts.
const PORT_BITMAP_BASE: usize = 102;
/// Offset of IST4, the stack for the end of a slice.
pub const SLICE_STACK: usize = 60;

/// Memory of one vCPU: this header, then its stacks. Aligned to its size, so that a stack pointer tells whose it is.
#[repr(C, align(16384))]
pub struct Area {
    /// Address of RSP0, which tells whose exceptions come here, in the task state segment.
    pub exception_stack: u64,
    /// Stack pointer of ring 3 while `syscall` changes stacks.
    pub user_stack: u64,
    /// Number of this vCPU.
    index: u64,
    /// When whoever runs was charged last, as a time stamp: at the beginning of its turn.
    pub since: u64,
    /// Ticks from then to the end of the slice; the stub of [`SLICE_VECTOR`] reads the low half.
    pub allowance: u64,
    /// 1: the slice has ended, and whoever runs is to yield.
    pub grace: u64,
    /// The terms of whoever runs, while the plain path of a yield may be taken: the next in the ring runs if it has the same. Else [`NO_TERMS`].
    pub terms: u64,
    /// The place of who had a turn in the ring of this vCPU last.
    pub current: u64,
    stacks: UnsafeCell<[u8; (1 << AREA_SHIFT) - HEADER]>,
}

/// Bytes of an area before its stacks.
const HEADER: usize = 64;
/// [`Area::terms`] that nobody has.
const NO_TERMS: u64 = 1;

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
            since: 0,
            allowance: 0,
            grace: 0,
            terms: 0,
            current: 0,
            stacks: UnsafeCell::new([0; (1 << AREA_SHIFT) - HEADER]),
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
    // Not in the image: one word that is not zero would bring the stacks of all vCPUs into it.
    // SAFETY: as above.
    unsafe { field(offset_of!(Area, terms)).write(NO_TERMS) };
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
pub fn task_state(index: usize, offset: usize) -> u64 {
    KERNEL_BASE + KERNEL_DATA + (index * TASK_STATE_STRIDE + offset) as u64
}

/// Writes a stack pointer of the task state segment. It is at a multiple of 4, which is no matter to this CPU.
fn set_stack(index: usize, offset: usize, address: u64) {
    let pointer = task_state(index, offset) as *mut u64;
    // SAFETY: 1. the task state segments are this kernel's data at a fixed address (tables.S), written by this vCPU only; 2. no
    // exception or interrupt of ring 3 can come meanwhile.
    unsafe {
        core::arch::asm!("mov [{}], {}", in(reg) pointer, in(reg) address, options(nostack, preserves_flags))
    };
}

/// Says where the CPU pushes exceptions of ring 3 from now on.
pub fn set_exception_stack(index: usize, address: u64) {
    set_stack(index, RSP0, address);
}

/// Says where the CPU pushes when the timer ends a slice from now on.
pub fn set_slice_stack(index: usize, address: u64) {
    set_stack(index, SLICE_STACK, address);
}

/// Lets the timer push on the interrupt stack while this vCPU sleeps, as other interrupts do.
pub fn use_interrupt_stack(index: usize) {
    set_slice_stack(index, area_address(index) + INTERRUPT_STACK_TOP as u64);
}

/// What vCPU `index` knows of the turn of whoever runs there, as the stubs of yields and of [`SLICE_VECTOR`] see it. The kernel's lock must be held,
/// or this be that vCPU.
pub struct Turn(u64);

impl Turn {
    /// On vCPU `index`.
    pub fn on(index: usize) -> Self {
        Self(area_address(index.min(VCPUS_MAX - 1)))
    }

    fn field(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: 1. the area exists; 2. the fields are aligned words, and every access is atomic.
        unsafe { AtomicU64::from_ptr((self.0 + offset as u64) as *mut u64) }
    }

    fn get(&self, offset: usize) -> u64 {
        self.field(offset).load(Ordering::Relaxed)
    }

    fn set(&self, offset: usize, value: u64) {
        self.field(offset).store(value, Ordering::Relaxed);
    }

    /// Charges the time since the last charge: how much that is. The end of the slice moves with it.
    pub fn charge(&self, now: u64) -> u64 {
        let since = self.get(offset_of!(Area, since));
        self.set(offset_of!(Area, since), now);
        now.wrapping_sub(since)
    }

    /// Sets when the slice ends; whoever runs has not been told.
    pub fn set_end(&self, end: u64) {
        let since = self.get(offset_of!(Area, since));
        self.set(offset_of!(Area, allowance), end.saturating_sub(since));
        self.set(offset_of!(Area, grace), 0);
    }

    /// When the slice ends.
    pub fn end(&self) -> u64 {
        self.get(offset_of!(Area, since)) + self.allowance()
    }

    /// Ticks from the last charge to then.
    pub fn allowance(&self) -> u64 {
        self.get(offset_of!(Area, allowance))
    }

    /// Notes that the end has been told.
    pub fn begin_grace(&self) {
        self.set(offset_of!(Area, grace), 1);
    }

    /// Whether the end has been told, and whoever runs is to yield.
    pub fn in_grace(&self) -> bool {
        self.get(offset_of!(Area, grace)) != 0
    }

    /// Says with whose terms the plain path of a yield may be taken; `None`: it may not.
    pub fn set_terms(&self, terms: Option<u64>) {
        self.set(offset_of!(Area, terms), terms.unwrap_or(NO_TERMS));
    }

    /// The place of who had a turn in the ring last.
    pub fn current(&self) -> u64 {
        self.get(offset_of!(Area, current))
    }

    /// Changes that.
    pub fn set_current(&self, place: u64) {
        self.set(offset_of!(Area, current), place);
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

/// The five words that a device interrupt pushed on vCPU `index`: RIP, CS, RFLAGS, RSP, SS.
pub struct InterruptFrame(u64);

impl InterruptFrame {
    /// The frame at the top of the stack for interrupts. It is there while one is handled.
    pub fn of(index: usize) -> Self {
        Self(area_address(index) + INTERRUPT_STACK_TOP as u64 - 40)
    }

    fn word(&self, number: usize) -> &AtomicU64 {
        let word = (self.0 as *mut u64).wrapping_add(number.min(4));
        // SAFETY: the top of this vCPU's stack; the frame is memory that only assembly and this type touch.
        unsafe { AtomicU64::from_ptr(word) }
    }

    /// Reads all five.
    pub fn read(&self) -> [u64; 5] {
        core::array::from_fn(|number| self.word(number).load(Ordering::Relaxed))
    }

    /// Replaces where ring 3 goes on. The segments stay.
    pub fn redirect(&self, instruction: u64, flags: u64, stack: u64) {
        self.word(0).store(instruction, Ordering::Relaxed);
        self.word(2).store(flags, Ordering::Relaxed);
        self.word(3).store(stack, Ordering::Relaxed);
    }
}
