//! What an upcall, or a forced switch, must leave as it was: every register, the flags, SSE state and the red zone.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

/// Everything that a program can see of its own state, but its stack pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Snapshot {
    /// rax rbx rcx rdx rsi rdi rbp r8 .. r15.
    pub general: [u64; 15],
    /// Flags.
    pub flags: u64,
    /// The 128 bytes below the stack pointer, downwards.
    pub red_zone: [u64; 16],
    /// xmm0 .. xmm15.
    pub vectors: [[u64; 2]; 16],
    /// MXCSR.
    pub control: u32,
    /// Zero.
    pub reserved: u32,
}

impl Snapshot {
    /// All zero, for the outcome.
    pub const EMPTY: Self = Self {
        general: [0; 15],
        flags: 0,
        red_zone: [0; 16],
        vectors: [[0; 2]; 16],
        control: 0,
        reserved: 0,
    };

    /// Values that are all different, made from `seed`; the direction and carry flags set; rounding towards zero.
    pub fn from_seed(seed: u64) -> Self {
        let word = |index: usize| (seed + index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            general: core::array::from_fn(word),
            flags: 0x202 | 1 << 10 | 1,
            red_zone: core::array::from_fn(|index| word(100 + index)),
            vectors: core::array::from_fn(|index| [word(200 + index), word(300 + index)]),
            control: crate::processor::MXCSR_DEFAULT | 3 << 13,
            reserved: 0,
        }
    }

    /// Takes on this state, executes `ud2`, and says what is there when the upcall's handler has gone on behind it.
    pub fn across_undefined_instruction(&self) -> Self {
        let mut after = Self::EMPTY;
        // SAFETY: 1. both live during the call; 2. the function saves and restores what the System V ABI asks.
        unsafe { cross_undefined_instruction(self, &raw mut after) };
        after
    }

    /// Takes on this state, counts `rounds` down without a call, and says what is there then. Counting changes arithmetic flags.
    pub fn across_time(&self, rounds: u64) -> Self {
        let mut after = Self::EMPTY;
        ROUNDS.store(rounds, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { cross_time(self, &raw mut after) };
        after
    }
}

/// Makes a function that loads `before`, executes instructions, and stores `after`.
macro_rules! crossing {
    ($(#[$meta:meta])* $name:ident: $($instruction:literal),+ $(; $operand:ident = sym $cell:ident)?) => {
$(#[$meta])*
#[unsafe(naked)]
unsafe extern "C" fn $name(before: *const Snapshot, after: *mut Snapshot) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rsi",                                     // [rsp] = after
        "push qword ptr [rdi + {flags}]",
        "popfq",                                        // only moves from here to ud2
        ".set exo_cell, 0",
        ".rept 16",
        "mov rax, [rdi + {red_zone} + 8 * exo_cell]",
        "mov [rsp - 8 - 8 * exo_cell], rax",
        ".set exo_cell, exo_cell + 1",
        ".endr",
        "ldmxcsr dword ptr [rdi + {control}]",
        "movups xmm0, [rdi + {vectors} + 0]",
        "movups xmm1, [rdi + {vectors} + 16]",
        "movups xmm2, [rdi + {vectors} + 32]",
        "movups xmm3, [rdi + {vectors} + 48]",
        "movups xmm4, [rdi + {vectors} + 64]",
        "movups xmm5, [rdi + {vectors} + 80]",
        "movups xmm6, [rdi + {vectors} + 96]",
        "movups xmm7, [rdi + {vectors} + 112]",
        "movups xmm8, [rdi + {vectors} + 128]",
        "movups xmm9, [rdi + {vectors} + 144]",
        "movups xmm10, [rdi + {vectors} + 160]",
        "movups xmm11, [rdi + {vectors} + 176]",
        "movups xmm12, [rdi + {vectors} + 192]",
        "movups xmm13, [rdi + {vectors} + 208]",
        "movups xmm14, [rdi + {vectors} + 224]",
        "movups xmm15, [rdi + {vectors} + 240]",
        "mov rax, [rdi + {general}]",
        "mov rbx, [rdi + {general} + 8]",
        "mov rcx, [rdi + {general} + 16]",
        "mov rdx, [rdi + {general} + 24]",
        "mov rsi, [rdi + {general} + 32]",
        "mov rbp, [rdi + {general} + 48]",
        "mov r8, [rdi + {general} + 56]",
        "mov r9, [rdi + {general} + 64]",
        "mov r10, [rdi + {general} + 72]",
        "mov r11, [rdi + {general} + 80]",
        "mov r12, [rdi + {general} + 88]",
        "mov r13, [rdi + {general} + 96]",
        "mov r14, [rdi + {general} + 104]",
        "mov r15, [rdi + {general} + 112]",
        "mov rdi, [rdi + {general} + 40]",
        $($instruction,)+
        "xchg rax, [rsp]",                              // rax = after, [rsp] = the old rax; no flag changes
        "mov [rax + {general} + 8], rbx",
        "mov [rax + {general} + 16], rcx",
        "mov [rax + {general} + 24], rdx",
        "mov [rax + {general} + 32], rsi",
        "mov [rax + {general} + 40], rdi",
        "mov [rax + {general} + 48], rbp",
        "mov [rax + {general} + 56], r8",
        "mov [rax + {general} + 64], r9",
        "mov [rax + {general} + 72], r10",
        "mov [rax + {general} + 80], r11",
        "mov [rax + {general} + 88], r12",
        "mov [rax + {general} + 96], r13",
        "mov [rax + {general} + 104], r14",
        "mov [rax + {general} + 112], r15",
        ".set exo_cell, 0",
        ".rept 16",
        "mov rcx, [rsp - 8 - 8 * exo_cell]",
        "mov [rax + {red_zone} + 8 * exo_cell], rcx",
        ".set exo_cell, exo_cell + 1",
        ".endr",
        "mov rcx, [rsp]",
        "mov [rax + {general}], rcx",
        "stmxcsr dword ptr [rax + {control}]",
        "movups [rax + {vectors} + 0], xmm0",
        "movups [rax + {vectors} + 16], xmm1",
        "movups [rax + {vectors} + 32], xmm2",
        "movups [rax + {vectors} + 48], xmm3",
        "movups [rax + {vectors} + 64], xmm4",
        "movups [rax + {vectors} + 80], xmm5",
        "movups [rax + {vectors} + 96], xmm6",
        "movups [rax + {vectors} + 112], xmm7",
        "movups [rax + {vectors} + 128], xmm8",
        "movups [rax + {vectors} + 144], xmm9",
        "movups [rax + {vectors} + 160], xmm10",
        "movups [rax + {vectors} + 176], xmm11",
        "movups [rax + {vectors} + 192], xmm12",
        "movups [rax + {vectors} + 208], xmm13",
        "movups [rax + {vectors} + 224], xmm14",
        "movups [rax + {vectors} + 240], xmm15",
        "pushfq",
        "pop qword ptr [rax + {flags}]",
        "cld",
        "push {mxcsr}",
        "ldmxcsr dword ptr [rsp]",
        "add rsp, 16",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        general = const offset_of!(Snapshot, general),
        flags = const offset_of!(Snapshot, flags),
        red_zone = const offset_of!(Snapshot, red_zone),
        vectors = const offset_of!(Snapshot, vectors),
        control = const offset_of!(Snapshot, control),
        mxcsr = const crate::processor::MXCSR_DEFAULT,
        $($operand = sym $cell,)?
    )
}
    };
}

crossing! {
    /// # Safety
    /// Both pointers are valid; a handler skips the `ud2`.
    cross_undefined_instruction: "ud2"
}

crossing! {
    /// # Safety
    /// Both pointers are valid.
    cross_time: "2:", "dec qword ptr [rip + {rounds}]", "jnz 2b"; rounds = sym ROUNDS
}

/// What is left of the rounds of `cross_time`.
static ROUNDS: AtomicU64 = AtomicU64::new(0);
