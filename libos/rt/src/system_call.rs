//! System calls of a program that a personality runs in its own environment: one way in, however the call came.
//!
//! The convention is that of the `syscall` instruction: rcx is where the program goes on, the stack is the program's and is not
//! written, its red zone included. A rewritten call site jumps to [`entry`] with rcx set; an instruction that trapped is sent there
//! by [`redirect`]. The handler runs on a stack of its own. What it does not change, the program finds as it was, but for rcx
//! and r11, which every system call loses.
#![allow(unsafe_code)]

use core::arch::{global_asm, naked_asm};
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use exo_abi::address::FRAME_WINDOW;
use exo_abi::upcall::{VECTOR_SYSCALL, Vector};

use crate::context::{self, Context};
use crate::processor::MXCSR_DEFAULT;
use crate::upcall::Fault;

/// How a program goes on behind a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Exit {
    /// As one that has called: with rcx and r11 lost, and x87 as it lies in the processor.
    Call = 0,
    /// With all registers as the [`Fault`] has them.
    Whole = 1,
}

/// Handles a system call: number in `rax`, arguments in `rdi rsi rdx r10 r8 r9`, result to `rax`.
pub type Handler = fn(&mut Fault) -> Exit;

static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Makes `handler` get the system calls.
pub fn set_handler(handler: Handler) {
    HANDLER.store(handler as usize, Ordering::Relaxed);
}

/// Address to which a rewritten call site jumps.
pub fn entry() -> u64 {
    (&raw const exo_system_call_entry) as u64
}

/// Whether an exception is a `syscall` instruction of the program: reflected by the kernel, or, where `syscall` does not reach ring
/// 0, the page fault at the kernel's entry.
pub fn is_system_call(fault: &Fault) -> bool {
    const FETCH: u64 = 0x15;
    fault.vector == VECTOR_SYSCALL
        || fault.vector == Vector::PageFault as u64
            && fault.error_code == FETCH
            && fault.address == fault.rip
            && fault.rip >= exo_abi::address::KERNEL_BASE
}

/// Sends a `syscall` instruction that trapped to the entry; the handler of exceptions then resumes.
pub fn redirect(fault: &mut Fault) {
    // `syscall` itself has put the address behind it into rcx.
    fault.rip = entry();
    fault.rflags = FLAGS;
}

/// Handles an interruption of the program between two calls; all registers are in the fault, and go on as they then stand there.
pub type InterruptionHandler = fn(&mut Fault);

static INTERRUPTION_HANDLER: AtomicUsize = AtomicUsize::new(0);
/// Where the program was interrupted, and its flags, from [`interrupt`] to the entry.
static INTERRUPTED: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Makes `handler` get the interruptions.
pub fn set_interruption_handler(handler: InterruptionHandler) {
    INTERRUPTION_HANDLER.store(handler as usize, Ordering::Relaxed);
}

/// Whether code at this address is the program's: what an upcall interrupts there can be kept, and another thread run.
pub fn is_program(instruction: u64) -> bool {
    instruction < FRAME_WINDOW && !crate::program_memory::image().contains(&instruction)
}

/// An event came while the personality itself ran.
static NOTICED: AtomicBool = AtomicBool::new(false);

/// Whether an event has come while the personality itself ran, since [`take_notice`].
pub fn has_notice() -> bool {
    NOTICED.load(Ordering::Relaxed)
}

/// Forgets that.
pub fn take_notice() -> bool {
    let noticed = NOTICED.load(Ordering::Relaxed);
    NOTICED.store(false, Ordering::Relaxed);
    noticed
}

/// An event has come: whether it goes to the handler of interruptions, since it has interrupted the program there, with these flags.
pub(crate) fn notice(instruction: u64, flags: u64) -> bool {
    if INTERRUPTION_HANDLER.load(Ordering::Relaxed) == 0 {
        return false;
    }
    let is_program = is_program(instruction);
    if is_program {
        keep(instruction, flags);
    } else {
        NOTICED.store(true, Ordering::Relaxed);
    }
    is_program
}

fn keep(instruction: u64, flags: u64) {
    let [kept_instruction, kept_flags] = &INTERRUPTED;
    kept_instruction.store(instruction, Ordering::Relaxed);
    kept_flags.store(flags, Ordering::Relaxed);
}

/// Sends what an upcall has interrupted in the program to the handler of interruptions: the upcall goes on there, on the stack of calls.
pub fn interrupt(instruction: &mut u64, flags: &mut u64) {
    keep(*instruction, *flags);
    *instruction = (&raw const exo_interruption_entry) as u64;
    *flags = FLAGS;
}

/// Interrupts on, all else clear.
pub(crate) const FLAGS: u64 = 0x202;
/// Bytes of the stack on which the handler runs.
const STACK_SIZE: usize = 256 << 10;

/// Lets a thread of the program run. The caller's stack is given up.
pub fn start(context: &Context) -> ! {
    let mut fault = Fault::ZERO;
    context.load(&mut fault);
    // SAFETY: the program runs on a stack of its own, and comes back by the handlers only.
    unsafe { leave(&raw const fault) }
}

/// # Safety
/// What the caller's stack holds is given up; `fault` is valid.
#[unsafe(naked)]
unsafe extern "C" fn leave(fault: *const Fault) -> ! {
    naked_asm!("mov rsp, rdi", "jmp exo_resume")
}

unsafe extern "C" {
    /// The entry; code, never read.
    static exo_system_call_entry: u8;
    /// The entry for what was interrupted.
    static exo_interruption_entry: u8;
}

extern "C" fn handle(call: &mut Fault) -> Exit {
    let handler = HANDLER.load(Ordering::Relaxed);
    assert!(handler != 0, "a system call, and nobody handles them");
    // SAFETY: `set_handler` alone writes it, from a `Handler`.
    let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
    handler(call)
}

extern "C" fn handle_interruption(fault: &mut Fault) {
    let handler = INTERRUPTION_HANDLER.load(Ordering::Relaxed);
    assert!(handler != 0, "an interruption, and nobody handles them");
    // SAFETY: `set_interruption_handler` alone writes it, from an `InterruptionHandler`.
    let handler: InterruptionHandler =
        unsafe { core::mem::transmute::<usize, InterruptionHandler>(handler) };
    handler(fault);
}

/// Where the SSE registers lie. x87 and MXCSR stay the program's.
const VECTORS: usize = offset_of!(Fault, floating_point) + context::VECTORS.start;

// Entered with rcx = where the program goes on, rsp = the program's stack, r11 lost, all else the program's.
// Only baseline code runs until the way back, so that the upper halves of vector registers stay as they are.
global_asm!(
    ".pushsection .text.exo_system_call, \"ax\", @progbits",
    ".balign 16",
    "exo_system_call_entry:",
    "mov r11, rsp",
    "lea rsp, [rip + exo_system_call_fault]",
    "mov [rsp + {rsp}], r11",
    "mov [rsp + {rip}], rcx",
    "mov [rsp + {rax}], rax",
    "mov [rsp + {rbx}], rbx",
    "mov [rsp + {rcx}], rcx",
    "mov [rsp + {rdx}], rdx",
    "mov [rsp + {rsi}], rsi",
    "mov [rsp + {rdi}], rdi",
    "mov [rsp + {rbp}], rbp",
    "mov [rsp + {r8}], r8",
    "mov [rsp + {r9}], r9",
    "mov [rsp + {r10}], r10",
    "mov [rsp + {r11}], r11",
    "mov [rsp + {r12}], r12",
    "mov [rsp + {r13}], r13",
    "mov [rsp + {r14}], r14",
    "mov [rsp + {r15}], r15",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "movaps [rsp + {vectors} + 16 * \\number], xmm\\number",
    ".endr",
    "mov rdi, rsp",
    "call {handle}",
    "test eax, eax",
    "jnz exo_resume",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "movaps xmm\\number, [rsp + {vectors} + 16 * \\number]",
    ".endr",
    "mov rax, [rsp + {rax}]",
    "mov rbx, [rsp + {rbx}]",
    "mov rcx, [rsp + {rip}]",
    "mov rdx, [rsp + {rdx}]",
    "mov rsi, [rsp + {rsi}]",
    "mov rdi, [rsp + {rdi}]",
    "mov rbp, [rsp + {rbp}]",
    "mov r8, [rsp + {r8}]",
    "mov r9, [rsp + {r9}]",
    "mov r10, [rsp + {r10}]",
    "mov r12, [rsp + {r12}]",
    "mov r13, [rsp + {r13}]",
    "mov r14, [rsp + {r14}]",
    "mov r15, [rsp + {r15}]",
    "mov rsp, [rsp + {rsp}]",
    "jmp rcx",

    // Entered with every register but rip and flags, which are in INTERRUPTED, as the program had it.
    ".balign 16",
    "exo_interruption_entry:",
    "mov [rip + exo_interrupted_stack], rsp",
    "lea rsp, [rip + exo_system_call_fault]",
    "mov [rsp + {rax}], rax",
    "mov [rsp + {rbx}], rbx",
    "mov [rsp + {rcx}], rcx",
    "mov [rsp + {rdx}], rdx",
    "mov [rsp + {rsi}], rsi",
    "mov [rsp + {rdi}], rdi",
    "mov [rsp + {rbp}], rbp",
    "mov [rsp + {r8}], r8",
    "mov [rsp + {r9}], r9",
    "mov [rsp + {r10}], r10",
    "mov [rsp + {r11}], r11",
    "mov [rsp + {r12}], r12",
    "mov [rsp + {r13}], r13",
    "mov [rsp + {r14}], r14",
    "mov [rsp + {r15}], r15",
    "mov rax, [rip + exo_interrupted_stack]",
    "mov [rsp + {rsp}], rax",
    "mov rax, [rip + {interrupted}]",
    "mov [rsp + {rip}], rax",
    "mov rax, [rip + {interrupted} + 8]",
    "mov [rsp + {rflags}], rax",
    "fxsave64 [rsp]",
    "fninit",
    "push {mxcsr}",
    "ldmxcsr dword ptr [rsp]",
    "add rsp, 8",
    "mov rdi, rsp",
    "call {handle_interruption}",
    "jmp exo_resume",
    ".popsection",
    ".pushsection .bss.exo_system_call, \"aw\", @nobits",
    ".balign 64",
    "exo_interrupted_stack: .zero 64",
    "exo_system_call_stack: .zero {stack_size} - {size}",
    "exo_system_call_fault: .zero {size}",
    ".popsection",
    stack_size = const STACK_SIZE,
    size = const size_of::<Fault>().next_multiple_of(64),
    vectors = const VECTORS,
    handle = sym handle,
    handle_interruption = sym handle_interruption,
    interrupted = sym INTERRUPTED,
    mxcsr = const MXCSR_DEFAULT,
    rflags = const offset_of!(Fault, rflags),
    rax = const offset_of!(Fault, rax),
    rbx = const offset_of!(Fault, rbx),
    rcx = const offset_of!(Fault, rcx),
    rdx = const offset_of!(Fault, rdx),
    rsi = const offset_of!(Fault, rsi),
    rdi = const offset_of!(Fault, rdi),
    rbp = const offset_of!(Fault, rbp),
    r8 = const offset_of!(Fault, r8),
    r9 = const offset_of!(Fault, r9),
    r10 = const offset_of!(Fault, r10),
    r11 = const offset_of!(Fault, r11),
    r12 = const offset_of!(Fault, r12),
    r13 = const offset_of!(Fault, r13),
    r14 = const offset_of!(Fault, r14),
    r15 = const offset_of!(Fault, r15),
    rip = const offset_of!(Fault, rip),
    rsp = const offset_of!(Fault, rsp),
);
