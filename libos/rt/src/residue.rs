//! What one environment could find of another in the registers: fills all of them before a yield, and reads all after it.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::mem::offset_of;

use exo_abi::Call;
use exo_abi::bundle::Features;
use exo_abi::interface_page::InterfacePage;

use crate::shared::INTERFACE;

/// Registers as they are when a yield comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Residue {
    /// What `fxsave64` writes: x87, which MMX shares, and xmm0 .. xmm15.
    pub floating_point: [u64; 64],
    /// zmm0 .. zmm31, as far as the host has them.
    pub vectors: [[u64; 8]; 32],
    /// k0 .. k7, the same.
    pub masks: [u64; 8],
    /// rax rbx rcx rdx rsi rdi rbp r8 .. r15.
    pub general: [u64; 15],
    /// Zero.
    pub reserved: u64,
}

/// Vector registers that ring 3 can use on this host, as the kernel knows it.
fn level() -> u64 {
    let features = INTERFACE.word(offset_of!(InterfacePage, features));
    if features & Features::CLEAR_AVX512 != 0 {
        2
    } else {
        u64::from(features & Features::CLEAR_AVX != 0)
    }
}

/// Yields with `word` in every register; returns what is in them afterwards.
pub fn yield_holding(word: u64) -> Residue {
    let mut after = Residue {
        floating_point: [0; 64],
        vectors: [[0; 8]; 32],
        masks: [0; 8],
        general: [0; 15],
        reserved: 0,
    };
    let gate = INTERFACE.word(offset_of!(InterfacePage, gate_entry));
    // SAFETY: 1. `after` lives during the call; 2. `gate` is the kernel's gate; 3. the level is what this host has.
    unsafe { exchange(word, &raw mut after, level(), gate) };
    after
}

/// Fills the registers, yields through `gate`, stores them.
///
/// # Safety
/// `after` is valid, `gate` is the gate entry, and the CPU has the registers that `level` says.
#[unsafe(naked)]
unsafe extern "C" fn exchange(word: u64, after: *mut Residue, level: u64, gate: u64) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rsi",                             // [rsp + 16]: after
        "push rdx",                             // [rsp + 8]: level
        "push rcx",                             // [rsp]: gate, later a cell
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7",
        "movq mm\\number, rdi",
        ".endr",
        "cmp edx, 1",
        "je 2f",
        "ja 3f",
        "movq xmm0, rdi",
        "punpcklqdq xmm0, xmm0",
        ".irp number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "movdqa xmm\\number, xmm0",
        ".endr",
        "jmp 4f",
        "2:",
        "vmovq xmm0, rdi",
        "vmovddup xmm0, xmm0",
        "vinsertf128 ymm0, ymm0, xmm0, 1",
        ".irp number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "vmovaps ymm\\number, ymm0",
        ".endr",
        "jmp 4f",
        "3:",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        "vpbroadcastq zmm\\number, rdi",
        ".endr",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7",
        "kmovw k\\number, edi",
        ".endr",
        "4:",
        ".irp name, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15",
        "mov \\name, rdi",
        ".endr",
        "mov eax, {number}",
        "call qword ptr [rsp]",                 // rsp is as it was before the call, so this is the gate's cell
        "mov [rsp], rax",
        "mov rax, [rsp + 16]",
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
        "mov rcx, [rsp]",
        "mov [rax + {general}], rcx",
        "fxsave64 [rax + {floating_point}]",
        "cmp dword ptr [rsp + 8], 1",
        "jb 7f",
        "je 6f",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        "vmovdqu64 [rax + {vectors} + 64 * \\number], zmm\\number",
        ".endr",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7",
        "kmovw ecx, k\\number",
        "mov [rax + {masks} + 8 * \\number], rcx",
        ".endr",
        "6:",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "vmovups [rax + {vectors} + 64 * \\number], ymm\\number",
        ".endr",
        "vzeroupper",
        "7:",
        "cld",
        "fninit",
        "push {mxcsr}",
        "ldmxcsr dword ptr [rsp]",
        "add rsp, 32",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        number = const Call::EnvironmentYield as u32,
        general = const offset_of!(Residue, general),
        floating_point = const offset_of!(Residue, floating_point),
        vectors = const offset_of!(Residue, vectors),
        masks = const offset_of!(Residue, masks),
        mxcsr = const crate::processor::MXCSR_DEFAULT,
    )
}
