//! All of the CPU's state that ring 3 can set: left behind at a switch on purpose, and looked for after one.
#![allow(unsafe_code)]

use core::arch::{asm, naked_asm};
use core::mem::offset_of;

use exo_abi::Call;
use exo_abi::address::INTERFACE_PAGE;
use exo_abi::interface_page::InterfacePage;

use crate::fault::catch_fault;
use crate::processor::MXCSR_DEFAULT;

/// `rdfsbase` and its like work.
pub(crate) const BASES: u64 = 1;
/// AVX2 registers can be used.
pub(crate) const AVX: u64 = 2;
/// AVX-512 registers can be used.
pub(crate) const AVX512: u64 = 4;

/// What this CPU lets ring 3 use, found by trying: CPUID need not be true.
pub(crate) fn extensions() -> u64 {
    // SAFETY: reads a base; where it faults, `catch_fault` takes over.
    let bases = catch_fault(|| unsafe { asm!("rdfsbase {}", out(reg) _) });
    // SAFETY: clears a register that is declared; as above.
    let avx = catch_fault(|| unsafe { asm!("vpxor ymm0, ymm0, ymm0", out("xmm0") _) });
    // SAFETY: clears a register that Rust code without AVX-512 does not know; as above.
    let avx512 = catch_fault(|| unsafe { asm!("vpxord zmm16, zmm16, zmm16") });
    let bit = |there: bool, bit: u64| if there { bit } else { 0 };
    bit(bases.is_ok(), BASES) | bit(avx.is_ok(), AVX) | bit(avx512.is_ok(), AVX512)
}

/// The state found after a switch.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct FullState {
    /// x87 and SSE, as `fxsave64` writes it.
    pub legacy: [u64; 64],
    /// zmm0 .. zmm31, as far as there are such registers.
    pub vectors: [[u64; 8]; 32],
    /// k0 .. k7.
    pub masks: [u64; 8],
    /// rax rbx rcx rdx rsi rdi rbp r8 .. r15.
    pub general: [u64; 15],
    /// Flags.
    pub flags: u64,
    /// Bases of FS and GS.
    pub bases: [u64; 2],
    /// DS ES FS GS.
    pub selectors: [u16; 4],
    extensions: u64,
}

impl FullState {
    /// Yields, and says what the registers hold when this environment goes on.
    pub fn after_yield() -> Self {
        let mut state = Self {
            legacy: [0; 64],
            vectors: [[0; 8]; 32],
            masks: [0; 8],
            general: [0; 15],
            flags: 0,
            bases: [0; 2],
            selectors: [0; 4],
            extensions: extensions(),
        };
        // SAFETY: 1. the state lives during the call; 2. the function saves and restores what the System V ABI asks.
        unsafe { yield_and_store(&raw mut state) };
        state
    }
}

/// Fills every register with `secret`, all flags that ring 3 can set included, and yields.
pub fn leave_behind(secret: u64) {
    // SAFETY: the function saves and restores what the System V ABI asks; no program of this runtime uses FS, GS or AVX.
    unsafe { fill_and_yield(secret, extensions()) };
}

/// # Safety
/// The pointer is valid.
#[unsafe(naked)]
unsafe extern "C" fn yield_and_store(state: *mut FullState) {
    naked_asm!(
        "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
        "push rdi",                                     // [rsp] = state
        "mov r11, {interface}",
        "mov eax, {call}",
        "xor edi, edi",                                 // to anyone
        "call qword ptr [r11 + {entry}]",
        "pushfq",
        "xchg rax, [rsp + 8]",                          // rax = state, [rsp + 8] = what rax held
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
        "mov rcx, [rsp + 8]",
        "mov [rax + {general}], rcx",
        "pop qword ptr [rax + {flags}]",
        "mov word ptr [rax + {selectors}], ds",
        "mov word ptr [rax + {selectors} + 2], es",
        "mov word ptr [rax + {selectors} + 4], fs",
        "mov word ptr [rax + {selectors} + 6], gs",
        "fxsave64 [rax + {legacy}]",
        "test byte ptr [rax + {extensions}], {bases_bit}",
        "jz 2f",
        "rdfsbase rcx",
        "mov [rax + {bases}], rcx",
        "rdgsbase rcx",
        "mov [rax + {bases} + 8], rcx",
        "2:",
        "test byte ptr [rax + {extensions}], {avx_bit}",
        "jz 3f",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "vmovdqu [rax + {vectors} + 64 * \\number], ymm\\number",
        ".endr",
        "3:",
        "test byte ptr [rax + {extensions}], {avx512_bit}",
        "jz 4f",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        "vmovdqu64 [rax + {vectors} + 64 * \\number], zmm\\number",
        ".endr",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7",
        "kmovw [rax + {masks} + 8 * \\number], k\\number",
        ".endr",
        "4:",
        "cld",
        "fninit",
        "mov dword ptr [rsp], {mxcsr}",
        "ldmxcsr dword ptr [rsp]",
        "add rsp, 8",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
        "ret",
        interface = const INTERFACE_PAGE,
        entry = const offset_of!(InterfacePage, gate_entry),
        call = const Call::EnvironmentYield as u32,
        general = const offset_of!(FullState, general),
        flags = const offset_of!(FullState, flags),
        selectors = const offset_of!(FullState, selectors),
        legacy = const offset_of!(FullState, legacy),
        vectors = const offset_of!(FullState, vectors),
        masks = const offset_of!(FullState, masks),
        bases = const offset_of!(FullState, bases),
        extensions = const offset_of!(FullState, extensions),
        bases_bit = const BASES,
        avx_bit = const AVX,
        avx512_bit = const AVX512,
        mxcsr = const MXCSR_DEFAULT,
    )
}

/// # Safety
/// Nothing is relied on in FS, GS, AVX and AVX-512 registers.
#[unsafe(naked)]
unsafe extern "C" fn fill_and_yield(secret: u64, extensions: u64) {
    naked_asm!(
        "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
        "mov eax, ss",                                  // the only data segment there is
        "mov ds, eax",
        "mov es, eax",
        "mov fs, eax",
        "mov gs, eax",
        "push rdi",
        "movq xmm0, rdi",
        "punpcklqdq xmm0, xmm0",
        ".irp number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "movdqa xmm\\number, xmm0",
        ".endr",
        "test sil, {avx_bit}",
        "jz 2f",
        "vpbroadcastq ymm0, xmm0",
        ".irp number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
        "vmovdqa ymm\\number, ymm0",
        ".endr",
        "2:",
        "test sil, {avx512_bit}",
        "jz 3f",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
        "vpbroadcastq zmm\\number, rdi",
        ".endr",
        ".irp number, 0, 1, 2, 3, 4, 5, 6, 7",
        "kmovw k\\number, edi",
        ".endr",
        "3:",
        "fninit",
        ".rept 8",
        "fld qword ptr [rsp]",
        ".endr",
        "mov dword ptr [rsp], 0x027f",                  // x87: another precision
        "fldcw word ptr [rsp]",
        "mov dword ptr [rsp], {mxcsr} | 0x6000",        // SSE: another rounding
        "ldmxcsr dword ptr [rsp]",
        "test sil, {bases_bit}",
        "jz 4f",
        "mov rcx, rdi",
        "shl rcx, 18",
        "shr rcx, 18",                                  // a base is canonical
        "wrfsbase rcx",
        "wrgsbase rcx",
        "4:",
        "mov r11, {interface}",
        "mov rax, [r11 + {entry}]",
        "mov [rsp], rax",
        "push {flags}",
        "popfq",                                        // only moves from here to the call
        "mov eax, {call}",
        "mov rbx, rdi", "mov rcx, rdi", "mov rdx, rdi", "mov rsi, rdi", "mov rbp, rdi",
        "mov r8, rdi", "mov r9, rdi", "mov r10, rdi", "mov r11, rdi", "mov r12, rdi", "mov r13, rdi", "mov r14, rdi", "mov r15, rdi",
        "mov edi, 0",                                   // to anyone; flags stay
        "call qword ptr [rsp]",
        "push 0x202",
        "popfq",
        "fninit",
        "mov dword ptr [rsp], {mxcsr}",
        "ldmxcsr dword ptr [rsp]",
        "add rsp, 8",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
        "ret",
        interface = const INTERFACE_PAGE,
        entry = const offset_of!(InterfacePage, gate_entry),
        call = const Call::EnvironmentYield as u32,
        bases_bit = const BASES,
        avx_bit = const AVX,
        avx512_bit = const AVX512,
        mxcsr = const MXCSR_DEFAULT,
        flags = const ALL_FLAGS,
    )
}

/// What ring 3 can set with `popfq`, but for the trap flag: CF PF AF ZF SF DF OF NT AC ID (Intel SDM volume 1, section 3.4.3).
pub const ALL_FLAGS: u64 =
    1 | 4 | 0x10 | 0x40 | 0x80 | 0x202 | 1 << 10 | 1 << 11 | 1 << 14 | 1 << 18 | 1 << 21;
