//! The object by which Linux programs read the clock without a call (Linux man page vdso(7)): an ELF file of one page in the libOS's own code.
//!
//! Its functions are the program's as far as events and exceptions are concerned: they use its stack, and hold nothing of the libOS's.
#![allow(unsafe_code)]

use core::arch::global_asm;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::clock;

/// Nanoseconds since 1970 when the time stamp counter was zero.
static EPOCH: AtomicU64 = AtomicU64::new(0);

/// Makes the object tell this environment's program the time; its address, for `AT_SYSINFO_EHDR`.
pub fn start(epoch: u64) -> u64 {
    EPOCH.store(epoch, Ordering::Relaxed);
    clock::nanoseconds();
    range().start
}

/// Where it lies.
pub fn range() -> Range<u64> {
    (&raw const exo_vdso) as u64..(&raw const exo_vdso_end) as u64
}

unsafe extern "C" {
    /// The object; read by the program only.
    static exo_vdso: u8;
    /// Its end.
    static exo_vdso_end: u8;
}

/// Bit n: clock n counts from when the time stamp counter was zero: `CLOCK_MONOTONIC`, `_RAW`, `_COARSE`, `CLOCK_BOOTTIME`.
const MONOTONIC: u32 = 1 << 1 | 1 << 4 | 1 << 6 | 1 << 7;
/// Bit n: clock n counts from 1970: `CLOCK_REALTIME`, `_COARSE`.
const REAL: u32 = 1 << 0 | 1 << 5;
/// The greatest of them.
const LAST: u32 = 7;
const CLOCK_GETTIME: u32 = 228;

global_asm!(
    ".pushsection .text.exo_vdso, \"ax\", @progbits",
    ".balign 4096",
    "exo_vdso:",
    // ELF header: a shared object for x86-64, two program headers.
    ".byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0",
    ".short 3, 62",
    ".long 1",
    ".quad 0, 64, 0",
    ".long 0",
    ".short 64, 56, 2, 0, 0, 0",
    // All of it, to read and execute.
    ".long 1, 5",
    ".quad 0, 0, 0, exo_vdso_end - exo_vdso, exo_vdso_end - exo_vdso, 4096",
    // The dynamic section.
    ".long 2, 4",
    ".quad exo_vdso_dynamic - exo_vdso, exo_vdso_dynamic - exo_vdso, exo_vdso_dynamic - exo_vdso",
    ".quad exo_vdso_symbols - exo_vdso_dynamic, exo_vdso_symbols - exo_vdso_dynamic, 8",
    "exo_vdso_dynamic:",
    ".quad 14, exo_vdso_name - exo_vdso_strings",   // DT_SONAME
    ".quad 4, exo_vdso_hash - exo_vdso",            // DT_HASH
    ".quad 5, exo_vdso_strings - exo_vdso",         // DT_STRTAB
    ".quad 6, exo_vdso_symbols - exo_vdso",         // DT_SYMTAB
    ".quad 10, exo_vdso_hash - exo_vdso_strings",   // DT_STRSZ
    ".quad 11, 24",                                 // DT_SYMENT
    ".quad 0x6ffffff0, exo_vdso_versions - exo_vdso",       // DT_VERSYM
    ".quad 0x6ffffffc, exo_vdso_definitions - exo_vdso",    // DT_VERDEF
    ".quad 0x6ffffffd, 2",                                  // DT_VERDEFNUM
    ".quad 0, 0",
    "exo_vdso_symbols:",
    ".zero 24",
    // Global functions in some section.
    ".irp name, clock_gettime, gettimeofday, time",
    ".long exo_vdso_name_\\name - exo_vdso_strings",
    ".byte 0x12, 0",
    ".short 1",
    ".quad exo_vdso_\\name - exo_vdso, exo_vdso_\\name\\()_end - exo_vdso_\\name",
    ".endr",
    "exo_vdso_strings:",
    ".byte 0",
    ".irp name, clock_gettime, gettimeofday, time",
    "exo_vdso_name_\\name: .asciz \"__vdso_\\name\"",
    ".endr",
    "exo_vdso_name: .asciz \"linux-vdso.so.1\"",
    "exo_vdso_version: .asciz \"LINUX_2.6\"",
    ".balign 4",
    "exo_vdso_hash:",                               // one bucket, in which all are
    ".long 1, 4, 1, 0, 2, 3, 0",
    // The object itself, and the version that all functions have; each with its hash and its name.
    ".balign 8",
    "exo_vdso_definitions:",
    ".short 1, 1, 1, 1",
    ".long 0xdeebfa1, 20, 28",
    ".long exo_vdso_name - exo_vdso_strings, 0",
    ".short 1, 0, 2, 1",
    ".long 0x3ae75f6, 20, 0",
    ".long exo_vdso_version - exo_vdso_strings, 0",
    "exo_vdso_versions:",
    ".short 0, 2, 2, 2",

    // rax: seconds, rcx: nanoseconds behind them, of the clock that counts from r8. Changes rdx.
    ".macro exo_vdso_read",
    "rdtsc",
    "shl rdx, 32",
    "or rax, rdx",
    "mul qword ptr [rip + {tick}]",
    "shrd rax, rdx, {fraction_bits}",
    "add rax, r8",
    "mov rcx, rax",
    "shr rax, 9",                                   // division by 10^9, by the inverse
    "movabs rdx, 0x44b82fa09b5a53",
    "mul rdx",
    "shr rdx, 11",
    "mov rax, rdx",
    "imul rdx, rdx, 1000000000",
    "sub rcx, rdx",
    ".endm",

    ".balign 16",
    "exo_vdso_clock_gettime:",
    "cmp edi, {last}",
    "ja 3f",
    "xor r8d, r8d",
    "mov eax, {monotonic}",
    "bt eax, edi",
    "jc 2f",
    "mov eax, {real}",
    "bt eax, edi",
    "jnc 3f",
    "mov r8, [rip + {epoch}]",
    "2:",
    "exo_vdso_read",
    "mov [rsi], rax",
    "mov [rsi + 8], rcx",
    "xor eax, eax",
    "ret",
    "3:",
    "mov eax, {clock_gettime}",
    "lea rcx, [rip + 4f]",
    "jmp exo_system_call_entry",
    "4:",
    "ret",
    "exo_vdso_clock_gettime_end:",

    ".balign 16",
    "exo_vdso_gettimeofday:",
    "test rdi, rdi",
    "jz 2f",
    "mov r8, [rip + {epoch}]",
    "exo_vdso_read",
    "mov [rdi], rax",
    "imul rcx, rcx, 274877907",                     // division by 1000 of what is less than 2^30
    "shr rcx, 38",
    "mov [rdi + 8], rcx",
    "2:",
    "test rsi, rsi",
    "jz 3f",
    "mov qword ptr [rsi], 0",
    "3:",
    "xor eax, eax",
    "ret",
    "exo_vdso_gettimeofday_end:",

    ".balign 16",
    "exo_vdso_time:",
    "mov r8, [rip + {epoch}]",
    "exo_vdso_read",
    "test rdi, rdi",
    "jz 2f",
    "mov [rdi], rax",
    "2:",
    "ret",
    "exo_vdso_time_end:",
    "exo_vdso_end:",
    ".balign 4096",
    ".popsection",
    tick = sym clock::TICK,
    fraction_bits = const clock::FRACTION_BITS,
    epoch = sym EPOCH,
    last = const LAST,
    monotonic = const MONOTONIC,
    real = const REAL,
    clock_gettime = const CLOCK_GETTIME,
);
