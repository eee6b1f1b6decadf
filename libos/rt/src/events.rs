//! Interrupts as upcalls, while the program runs: entry, handler, and the way back, all in user mode.
//!
//! The stub saves every register that Rust code may change on the event stack and calls the handler. The credit for the next upcall is
//! given last, on the stack of what was interrupted, below its red zone: by then nothing on the event stack is needed any more.
#![allow(unsafe_code)]

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicUsize, Ordering};

use exo_abi::Error;
use exo_abi::address::{CALL_PAGE, ENVIRONMENT_PAGE};
use exo_abi::environment::{CallPage, EnvironmentPage, UPCALL_CREDIT};

use crate::shared::ENVIRONMENT;
use crate::{gate, processor, shared, system_call, window};

/// Called for an interrupt. What it interrupts may hold the console or the heap; it must not switch, nor touch what may fault.
pub type Handler = fn();

static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Has `handler` called for interrupts of bound vectors that come while the program runs. Others are counted only.
pub fn install(handler: Handler) -> Result<(), Error> {
    HANDLER.store(handler as usize, Ordering::Relaxed);
    gate::event_upcall_set((&raw const exo_event) as u64, window::event_stack_top())?;
    set_credit();
    Ok(())
}

/// Lets the kernel deliver one more event upcall.
pub fn set_credit() {
    shared::give_credit(offset_of!(CallPage, event_credit));
}

/// Event upcalls taken so far.
pub fn upcalls_taken() -> u32 {
    shared::upcalls_taken(offset_of!(CallPage, event_credit))
}

unsafe extern "C" {
    /// The stub; code, never read.
    static exo_event: u8;
}

/// Called on the event stack; 1 where what was interrupted does not go on at once, but its personality takes it.
extern "C" fn handle() -> u64 {
    let handler = HANDLER.load(Ordering::Relaxed);
    if handler != 0 {
        // SAFETY: `install` alone writes it, from a `Handler`.
        let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
        handler();
    }
    let word =
        |number: usize| ENVIRONMENT.word(offset_of!(EnvironmentPage, event_frame) + 8 * number);
    system_call::notice(word(0), word(2)).into()
}

/// What the kernel wrote: RIP, CS, RFLAGS, RSP, SS.
const FRAME: u64 = ENVIRONMENT_PAGE + offset_of!(EnvironmentPage, event_frame) as u64;

// Entered from the kernel: rsp = top of the event stack, credit taken, all else as interrupted.
global_asm!(
    ".pushsection .text.exo_event, \"ax\", @progbits",
    ".balign 16",
    "exo_event:",
    "push rax",
    "push rcx",
    "push rdx",
    "push rsi",
    "push rdi",
    "push r8",
    "push r9",
    "push r10",
    "push r11",
    "push rbp",
    "push rbx",
    "mov rbp, rsp",                         // kept by `handle`, as by every function
    "sub rsp, 512",
    "and rsp, -64",
    "fxsave64 [rsp]",
    "fninit",
    "push {mxcsr}",
    "ldmxcsr dword ptr [rsp]",
    "add rsp, 8",
    "cld",
    "call {handle}",
    "mov ebx, eax",
    "fxrstor64 [rsp]",
    "mov rsp, rbp",
    "test ebx, ebx",
    "jnz 2f",
    "movabs rax, {frame}",
    "mov rcx, [rax + 24]",                  // RSP
    "mov rdx, [rax]",                       // RIP
    "mov [rcx - {red_zone} - 8], rdx",
    "mov rdx, [rax + 16]",                  // RFLAGS
    "mov [rcx - {red_zone} - 16], rdx",
    "mov rdx, [rsp + 80]",                  // rax
    "mov [rcx - {red_zone} - 24], rdx",
    "sub rcx, {red_zone} + 24",
    "mov [rip + exo_event_stack], rcx",
    "pop rbx",
    "pop rbp",
    "pop r11",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rdi",
    "pop rsi",
    "pop rdx",
    "pop rcx",
    "mov rsp, [rip + exo_event_stack]",
    "movabs rax, {credit}",
    "or dword ptr [rax], {credit_bit}",     // from here on the next upcall may come
    "pop rax",
    "popfq",
    "ret {red_zone}",

    // To the personality, which gives the credit when it has taken all registers.
    "2:",
    "movabs rax, {frame}",
    "mov rax, [rax + 24]",                  // RSP
    "mov [rip + exo_event_stack], rax",
    "pop rbx",
    "pop rbp",
    "pop r11",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rdi",
    "pop rsi",
    "pop rdx",
    "pop rcx",
    "pop rax",
    "mov rsp, [rip + exo_event_stack]",
    "jmp exo_interruption_entry",
    ".popsection",

    // While the credit is out nobody else uses it.
    ".pushsection .bss.exo_event, \"aw\", @nobits",
    ".balign 8",
    "exo_event_stack: .zero 8",
    ".popsection",
    frame = const FRAME,
    mxcsr = const processor::MXCSR_DEFAULT,
    handle = sym handle,
    red_zone = const processor::RED_ZONE,
    credit = const CALL_PAGE + offset_of!(CallPage, event_credit) as u64,
    credit_bit = const UPCALL_CREDIT,
);
