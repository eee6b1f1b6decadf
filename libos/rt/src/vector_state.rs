//! What a forced switch must leave as it was beside [`crate::snapshot`]: x87, MXCSR, whole vector registers, mask registers, bases.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::full_state::{AVX, AVX512, BASES, extensions};
use crate::processor::MXCSR_DEFAULT;

/// Words of the `fxsave64` area up to its end (Intel SDM volume 1, table 10-2): control and status word, tag byte.
const CONTROLS: usize = 0;
/// MXCSR, and its mask.
const MXCSR: usize = 3;
/// Eight x87 registers of 10 bytes, each in 16.
const X87: core::ops::Range<usize> = 4..20;

/// That state, as far as this CPU has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct VectorState {
    /// x87 and SSE, as `fxsave64` writes it; words that it does not keep, and xmm, which `vectors` has, are zero.
    pub legacy: [u64; 64],
    /// zmm0 .. zmm31; what this CPU does not have is zero.
    pub vectors: [[u64; 8]; 32],
    /// k0 .. k7.
    pub masks: [u64; 8],
    /// Bases of FS and GS.
    pub bases: [u64; 2],
    extensions: u64,
}

impl VectorState {
    /// All zero, for the outcome.
    const EMPTY: Self = Self {
        legacy: [0; 64],
        vectors: [[0; 8]; 32],
        masks: [0; 8],
        bases: [0; 2],
        extensions: 0,
    };

    /// Values that are all different, made from `seed`.
    pub fn from_seed(seed: u64) -> Self {
        let word = |index: usize| (seed + index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let extensions = extensions();
        let has = |extension| extensions & extension != 0;
        let (registers, words) = match () {
            () if has(AVX512) => (32, 8),
            () if has(AVX) => (16, 4),
            () => (16, 2),
        };
        let mut state = Self {
            extensions,
            ..Self::EMPTY
        };
        // Exceptions masked; precision and rounding as the seed says, which are not those after reset; the top of the stack at 3; all registers in use.
        state.legacy[CONTROLS] = (0x007f | (seed % 3 + 1) << 10) | 3 << (16 + 11) | 0xff << 32;
        state.legacy[MXCSR] = u64::from(MXCSR_DEFAULT) | (seed % 3 + 1) << 13;
        for (register, cells) in state.legacy[X87].chunks_mut(2).enumerate() {
            // A number with its leading bit, near one.
            cells[0] = word(register) | 1 << 63;
            cells[1] = 0x3fff + register as u64;
        }
        for (register, cells) in state.vectors.iter_mut().take(registers).enumerate() {
            for (index, cell) in cells.iter_mut().take(words).enumerate() {
                *cell = word(100 + 8 * register + index);
            }
        }
        if has(AVX512) {
            // As many bits as every CPU that has them.
            state.masks = core::array::from_fn(|index| word(400 + index) & 0xffff);
        }
        if has(BASES) {
            // Canonical, and never used as an address.
            state.bases = [word(500) >> 20, word(501) >> 20];
        }
        state
    }

    /// Takes on this state, counts `rounds` down without a call, and says what is there then.
    pub fn across_time(&self, rounds: u64) -> Self {
        let mut after = Self {
            extensions: self.extensions,
            ..Self::EMPTY
        };
        ROUNDS.store(rounds, Ordering::Relaxed);
        // SAFETY: 1. both live during the call; 2. the function saves and restores what the System V ABI asks, and no program of this
        // runtime uses FS, GS or AVX.
        unsafe { cross_time(self, &raw mut after) };
        let kept = |index| index == CONTROLS || index == MXCSR || X87.contains(&index);
        for (index, word) in after.legacy.iter_mut().enumerate() {
            match index {
                // Behind the tag byte stand the last instruction's opcode and address, which are kept for exceptions only.
                CONTROLS => *word &= 0xff_ffff_ffff,
                MXCSR => *word &= 0xffff_ffff,
                _ if !kept(index) => *word = 0,
                _ => {}
            }
        }
        after
    }
}

/// What is left of the rounds.
static ROUNDS: AtomicU64 = AtomicU64::new(0);

/// # Safety
/// Both pointers are valid; nothing is relied on in FS, GS, AVX and AVX-512 registers.
#[unsafe(naked)]
unsafe extern "C" fn cross_time(before: *const VectorState, after: *mut VectorState) {
    naked_asm!(
        "sub rsp, 8",
        "mov r8, [rdi + {extensions}]",
        "fxrstor64 [rdi + {legacy}]",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "movups xmm\\number, [rdi + {vectors} + 64 * \\number]",
        ".endr",
        "test r8b, {bases_bit}",
        "jz 2f",
        "mov rcx, [rdi + {bases}]",
        "wrfsbase rcx",
        "mov rcx, [rdi + {bases} + 8]",
        "wrgsbase rcx",
        "2:",
        "test r8b, {avx_bit}",
        "jz 3f",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "vmovdqu ymm\\number, [rdi + {vectors} + 64 * \\number]",
        ".endr",
        "3:",
        "test r8b, {avx512_bit}",
        "jz 4f",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        "vmovdqu64 zmm\\number, [rdi + {vectors} + 64 * \\number]",
        ".endr",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7",
        "kmovw k\\number, [rdi + {masks} + 8 * \\number]",
        ".endr",
        "4:",

        "5:",
        "dec qword ptr [rip + {rounds}]",
        "jnz 5b",

        "fxsave64 [rsi + {legacy}]",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "movups [rsi + {vectors} + 64 * \\number], xmm\\number",
        ".endr",
        "test r8b, {bases_bit}",
        "jz 6f",
        "rdfsbase rcx",
        "mov [rsi + {bases}], rcx",
        "rdgsbase rcx",
        "mov [rsi + {bases} + 8], rcx",
        "6:",
        "test r8b, {avx_bit}",
        "jz 7f",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "vmovdqu [rsi + {vectors} + 64 * \\number], ymm\\number",
        ".endr",
        "7:",
        "test r8b, {avx512_bit}",
        "jz 8f",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        "vmovdqu64 [rsi + {vectors} + 64 * \\number], zmm\\number",
        ".endr",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7",
        "kmovw [rsi + {masks} + 8 * \\number], k\\number",
        ".endr",
        "8:",
        "fninit",
        "mov dword ptr [rsp], {mxcsr}",
        "ldmxcsr dword ptr [rsp]",
        "add rsp, 8",
        "ret",
        legacy = const offset_of!(VectorState, legacy),
        vectors = const offset_of!(VectorState, vectors),
        masks = const offset_of!(VectorState, masks),
        bases = const offset_of!(VectorState, bases),
        extensions = const offset_of!(VectorState, extensions),
        bases_bit = const BASES,
        avx_bit = const AVX,
        avx512_bit = const AVX512,
        rounds = sym ROUNDS,
        mxcsr = const MXCSR_DEFAULT,
    )
}
