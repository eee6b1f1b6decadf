//! The end of a slice, and its beginning, as an upcall: at the end the libOS saves its own state, all of it, in ring 3, and says who runs next.
//!
//! The stub saves every register on the slice stack and calls the handler, which yields. When the environment goes on it puts everything
//! back. The credit for the next upcall is given last, on the stack of what was interrupted, below its red zone: by then nothing on the
//! slice stack is needed any more.
#![allow(unsafe_code)]

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use exo_abi::Error;
use exo_abi::address::{CALL_PAGE, ENVIRONMENT_PAGE};
use exo_abi::environment::{CallPage, EnvironmentPage, UPCALL_CREDIT};

use crate::full_state::{self, AVX, AVX512, BASES};
use crate::shared::{self, ENVIRONMENT};
use crate::{processor, wait, window};

/// Says who runs next: it yields, or, if it comes back at once, is late.
pub type Handler = fn();

static HANDLER: AtomicUsize = AtomicUsize::new(0);
/// What the stub has to save beside the registers of every x86-64, as [`full_state`] names it.
static EXTENSIONS: AtomicU64 = AtomicU64::new(0);

/// Has `handler` called at the end of each slice; [`wait::yield_now`] is one that lets anyone run. Exception upcalls are installed.
pub fn install(handler: Handler) -> Result<(), Error> {
    HANDLER.store(handler as usize, Ordering::Relaxed);
    EXTENSIONS.store(full_state::extensions(), Ordering::Relaxed);
    crate::gate::slice_upcall_set(
        (&raw const exo_slice_end) as u64,
        (&raw const exo_slice_begin) as u64,
        window::slice_stack_top(),
    )?;
    set_credit();
    Ok(())
}

/// Lets the kernel deliver one more slice upcall.
pub fn set_credit() {
    shared::give_credit(offset_of!(CallPage, slice_credit));
}

/// Slice upcalls taken so far.
pub fn upcalls_taken() -> u32 {
    shared::upcalls_taken(offset_of!(CallPage, slice_credit))
}

/// Ticks of the time stamp counter between the end of a slice and the moment at which it is too late; 0: no upcall is wanted.
pub fn grace() -> u64 {
    ENVIRONMENT.word(offset_of!(EnvironmentPage, slice_grace))
}

/// Slices whose beginning was told: those behind a yield or a wait of the program itself.
pub fn beginnings() -> u64 {
    BEGINNINGS.load(Ordering::Relaxed)
}

static BEGINNINGS: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    /// The stub at the end; code, never read.
    static exo_slice_end: u8;
    /// The stub at the beginning.
    static exo_slice_begin: u8;
}

/// Called on the slice stack.
extern "C" fn handle() {
    let handler = HANDLER.load(Ordering::Relaxed);
    if handler == 0 {
        wait::yield_now();
        return;
    }
    // SAFETY: `install` alone writes it, from a `Handler`.
    let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
    handler();
}

/// What was interrupted: RIP, RFLAGS, RSP.
const FRAME: u64 = ENVIRONMENT_PAGE + offset_of!(EnvironmentPage, slice_upcall_frame) as u64;
/// Room for x87 and SSE, the vector registers, the mask registers.
const STATE: u64 = 512 + 64 * 32 + 8 * 8;

global_asm!(
    ".pushsection .text.exo_slice, \"ax\", @progbits",
    ".balign 16",
    "exo_slice_end:",
    "push rax", "push rbx", "push rcx", "push rdx", "push rsi", "push rdi", "push rbp",
    "push r8", "push r9", "push r10", "push r11", "push r12", "push r13", "push r14", "push r15",
    "movabs rax, {frame}",
    "push qword ptr [rax]",                 // RIP
    "push qword ptr [rax + 8]",             // RFLAGS
    "push qword ptr [rax + 16]",            // RSP
    "mov rbp, rsp",
    "mov rbx, [rip + {extensions}]",        // kept over the calls by hand: a yield keeps no register
    "xor ecx, ecx",
    "xor edx, edx",
    "test bl, {bases}",
    "jz 2f",
    "rdfsbase rcx",
    "rdgsbase rdx",
    "2:",
    "push rcx",
    "push rdx",
    "sub rsp, {state}",
    "and rsp, -64",
    "fxsave64 [rsp]",
    "test bl, {avx}",
    "jz 3f",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "vmovdqu [rsp + 512 + 64 * \\number], ymm\\number",
    ".endr",
    "3:",
    "test bl, {avx512}",
    "jz 4f",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "vmovdqu64 [rsp + 512 + 64 * \\number], zmm\\number",
    ".endr",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7",
    "kmovq [rsp + 2560 + 8 * \\number], k\\number",
    ".endr",
    "4:",
    "fninit",
    "push {mxcsr}",
    "ldmxcsr dword ptr [rsp]",
    "mov [rsp], rbp",                       // rbp and rbx are kept by `handle`, as by every function
    "sub rsp, 8",
    "call {handle}",
    "add rsp, 8",
    "pop rbp",

    "mov rbx, [rip + {extensions}]",
    "test bl, {avx512}",
    "jz 5f",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "vmovdqu64 zmm\\number, [rsp + 512 + 64 * \\number]",
    ".endr",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7",
    "kmovq k\\number, [rsp + 2560 + 8 * \\number]",
    ".endr",
    "jmp 6f",
    "5:",
    "test bl, {avx}",
    "jz 6f",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "vmovdqu ymm\\number, [rsp + 512 + 64 * \\number]",
    ".endr",
    "6:",
    "fxrstor64 [rsp]",
    "lea rsp, [rbp - 16]",
    "pop rdx",
    "pop rcx",
    "test bl, {bases}",
    "jz 7f",
    "wrfsbase rcx",
    "wrgsbase rdx",
    "7:",
    "pop rcx",                              // RSP
    "pop rdx",                              // RFLAGS
    "pop rbx",                              // RIP
    "mov [rcx - {red_zone} - 8], rbx",
    "mov [rcx - {red_zone} - 16], rdx",
    "lea rdx, [rcx - {red_zone} - 24]",
    "mov rax, [rsp + 14 * 8]",
    "mov [rdx], rax",
    "mov [rip + exo_slice_stack], rdx",
    "pop r15", "pop r14", "pop r13", "pop r12", "pop r11", "pop r10", "pop r9", "pop r8",
    "pop rbp", "pop rdi", "pop rsi", "pop rdx", "pop rcx", "pop rbx",
    "mov rsp, [rip + exo_slice_stack]",
    "movabs rax, {credit}",
    "or dword ptr [rax], {credit_bit}",     // from here on the next upcall may come
    "pop rax",
    "popfq",
    "ret {red_zone}",

    // Entered with what a yield leaves: RIP and RSP, here in the frame, and the status in rax.
    ".balign 16",
    "exo_slice_begin:",
    "movabs rcx, {frame}",
    "mov rsp, [rcx + 16]",
    "mov rcx, [rcx]",
    "inc qword ptr [rip + {beginnings}]",
    "movabs rdx, {credit}",
    "or dword ptr [rdx], {credit_bit}",
    "jmp rcx",
    ".popsection",

    // While the credit is out nobody else uses it.
    ".pushsection .bss.exo_slice, \"aw\", @nobits",
    ".balign 8",
    "exo_slice_stack: .zero 8",
    ".popsection",
    frame = const FRAME,
    extensions = sym EXTENSIONS,
    beginnings = sym BEGINNINGS,
    bases = const BASES,
    avx = const AVX,
    avx512 = const AVX512,
    state = const STATE,
    mxcsr = const processor::MXCSR_DEFAULT,
    handle = sym handle,
    red_zone = const processor::RED_ZONE,
    credit = const CALL_PAGE + offset_of!(CallPage, slice_credit) as u64,
    credit_bit = const UPCALL_CREDIT,
);
