//! System calls of a program that a personality runs in its own environment: one way in, however the call came.
//!
//! The convention is that of the `syscall` instruction: rcx is where the program goes on, the stack is the program's and is not
//! written, its red zone included. A rewritten call site jumps to [`entry`] with rcx set; an instruction that trapped is sent there
//! by [`redirect`]. The handler runs on a stack of its own. What it does not change, the program finds as it was, but for rcx
//! and r11, which every system call loses.
#![allow(unsafe_code)]

use core::arch::{global_asm, naked_asm};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use exo_abi::address::FRAME_WINDOW;
use exo_abi::upcall::{VECTOR_SYSCALL, Vector};

use crate::context::{self, Context, Entered};
use crate::processor::MXCSR_DEFAULT;
use crate::upcall::{Fault, LATE, NOTICED};

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

/// Handles an interruption of the program between two calls, or at the end of one; the registers go on as they then stand in the fault, all of
/// them.
pub type InterruptionHandler = fn(&mut Fault, Entered);

static INTERRUPTION_HANDLER: AtomicUsize = AtomicUsize::new(0);
/// Where the program was interrupted, and its flags, from [`interrupt`] to the entry.
static INTERRUPTED: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Makes `handler` get the interruptions.
pub fn set_interruption_handler(handler: InterruptionHandler) {
    LATE.store((&raw const exo_late_resume) as u64, Ordering::Relaxed);
    INTERRUPTION_HANDLER.store(handler as usize, Ordering::Relaxed);
}

/// Whether code at this address is the program's: what an upcall interrupts there can be kept, and another thread run.
pub fn is_program(instruction: u64) -> bool {
    let is_own = crate::program_memory::image().contains(&instruction)
        && !crate::vdso::range().contains(&instruction);
    instruction < FRAME_WINDOW && !is_own
}

/// Whether an event has come while the personality itself ran, since it was asked last.
pub fn take_notice() -> bool {
    let noticed = NOTICED.load(Ordering::Relaxed);
    NOTICED.store(false, Ordering::Relaxed);
    noticed
}

/// What an event has interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Interrupted {
    /// What goes on by itself, and looks for events later; or there is no handler of interruptions.
    Other = 0,
    /// The program: the handler of interruptions is next.
    Program = 1,
    /// The way from a call to the program, behind the last look for events. What it goes on with lies unchanged where it was saved, so the handler
    /// is next, as if the event had come before.
    Call = 2,
    /// The way from an upcall to the program, or from the handler: likewise.
    Resume = 3,
}

/// An event has come, and has interrupted this instruction and these flags.
pub(crate) fn notice(instruction: u64, flags: u64) -> Interrupted {
    let lies = |begin: &'static u8, end: &'static u8| {
        let address = |place: &'static u8| &raw const *place as u64;
        (address(begin)..address(end)).contains(&instruction)
    };
    if INTERRUPTION_HANDLER.load(Ordering::Relaxed) == 0 {
        return Interrupted::Other;
    }
    if is_program(instruction) {
        keep(instruction, flags);
        return Interrupted::Program;
    }
    NOTICED.store(true, Ordering::Relaxed);
    // SAFETY: labels in code and a word of data, whose addresses are taken only; the word is whole, as no upcall interrupts its store, and what it
    // points to, is a state that is about to be loaded, if the instruction lies there.
    unsafe {
        if lies(&exo_call_exit_begin, &exo_call_exit_end) {
            Interrupted::Call
        } else if lies(&exo_resume_begin, &exo_resume_end) && goes_to_program(&*exo_resume_state) {
            Interrupted::Resume
        } else {
            Interrupted::Other
        }
    }
}

/// Whether a state that is about to be loaded is the program's.
extern "C" fn goes_to_program(state: &Fault) -> bool {
    is_program(state.rip)
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
    /// From here the way from a call to the program changes registers only.
    static exo_call_exit_begin: u8;
    /// Its end.
    static exo_call_exit_end: u8;
    /// Where what goes on from a saved state is asked for an event that came late; code, never read.
    static exo_late_resume: u8;
    /// From here the way from a saved state does.
    static exo_resume_begin: u8;
    /// Its end.
    static exo_resume_end: u8;
    /// The state.
    static exo_resume_state: *const Fault;
}

extern "C" fn handle(call: &mut Fault) -> Exit {
    let handler = HANDLER.load(Ordering::Relaxed);
    assert!(handler != 0, "a system call, and nobody handles them");
    // SAFETY: `set_handler` alone writes it, from a `Handler`.
    let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
    handler(call)
}

extern "C" fn handle_interruption(fault: &mut Fault, entered: Entered) {
    let handler = INTERRUPTION_HANDLER.load(Ordering::Relaxed);
    assert!(handler != 0, "an interruption, and nobody handles them");
    // SAFETY: `set_interruption_handler` alone writes it, from an `InterruptionHandler`.
    let handler: InterruptionHandler =
        unsafe { core::mem::transmute::<usize, InterruptionHandler>(handler) };
    handler(fault, entered);
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
    "exo_call_exit_begin:",
    "cmp byte ptr [rip + {noticed}], 0",
    "jne exo_late_call",
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
    "exo_call_exit_end:",

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
    "exo_interrupted:",
    "mov rdi, rsp",
    "mov esi, {upcall}",
    "call {handle_interruption}",
    "jmp exo_resume",

    // An event that came too late for the handler's own look. From the event upcall: ebx = what it has interrupted.
    "exo_late:",
    "cmp ebx, {interrupted_call}",
    "je exo_late_call",
    "mov rsp, [rip + exo_resume_state]",
    "jmp exo_late_whole",
    "exo_late_call:",
    "lea rsp, [rip + exo_system_call_fault]",
    "mov rdi, rsp",
    "mov esi, {call}",
    "call {handle_interruption}",
    "jmp exo_resume",
    "exo_late_resume:",                     // rsp = the saved state
    "mov rdi, rsp",
    "call {goes_to_program}",
    "test al, al",
    "jz exo_resume_anyway",
    "exo_late_whole:",
    "cld",
    "fninit",
    "push {mxcsr}",
    "ldmxcsr dword ptr [rsp]",
    "add rsp, 8",
    "mov rsi, rsp",
    "lea rsp, [rip + exo_system_call_fault]",
    "mov rdi, rsp",
    "mov ecx, {size_of_fault}",
    "rep movsb",                            // the same place, or the stack of exceptions
    "jmp exo_interrupted",
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
    noticed = sym NOTICED,
    goes_to_program = sym goes_to_program,
    interrupted_call = const Interrupted::Call as u64,
    call = const Entered::Call as u64,
    upcall = const Entered::Upcall as u64,
    size_of_fault = const size_of::<Fault>(),
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
