//! What a libOS tells the host of a program that crashes, for a backtrace and a core file: one instruction on [`crate::port::CRASH_PORT`].
//!
//! The host reads record and memory by the page tables of whoever writes the port, and trusts nothing in them.

/// Most threads of one record.
pub const CRASH_THREADS_MAX: u32 = 1024;
/// Most regions of one record.
pub const CRASH_REGIONS_MAX: u32 = 32_768;
/// Most bytes of an auxiliary vector.
pub const CRASH_AUXILIARY_MAX: u32 = 4096;

/// A crash. Its address is in rdi when the port is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CrashRecord {
    /// Number of the process.
    pub process: u32,
    /// Number of its parent.
    pub parent: u32,
    /// The signal that it ends by.
    pub signal: u32,
    /// Why: `si_code` of Linux.
    pub code: u32,
    /// The address that the signal is about.
    pub address: u64,
    /// Address of [`CrashThread`]s, the one that has crashed first.
    pub threads: u64,
    /// Address of [`CrashRegion`]s, by ascending address.
    pub regions: u64,
    /// Address of the auxiliary vector of the program.
    pub auxiliary: u64,
    /// Threads.
    pub thread_count: u32,
    /// Regions.
    pub region_count: u32,
    /// Bytes of the auxiliary vector.
    pub auxiliary_bytes: u32,
    /// Bytes of the program's path.
    pub path_bytes: u32,
    /// Address of the program's path.
    pub path: u64,
}

/// A thread of a program that has crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CrashThread {
    /// Number.
    pub number: u64,
    /// Registers as in `user_regs_struct` of Linux: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi, original rax, rip cs
    /// rflags rsp ss, bases of FS and GS, ds es fs gs.
    pub registers: [u64; 27],
    /// x87 and SSE state, as `fxsave64` writes it.
    pub floating_point: [u8; 512],
}

/// Memory of a program that has crashed. Pages that are not mapped read as zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct CrashRegion {
    /// First address.
    pub start: u64,
    /// End, exclusive.
    pub end: u64,
    /// [`crate::Rights`].
    pub rights: u64,
}

const _: () = assert!(size_of::<CrashRecord>() == 72);
const _: () = assert!(size_of::<CrashThread>() == 736);
const _: () = assert!(size_of::<CrashRegion>() == 24);
