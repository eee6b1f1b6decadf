//! Interrupts as upcalls, while the program runs: entry, handler, and the way back, all in user mode.
//!
//! The stub saves every register that Rust code may change on the event stack and calls the handler. The credit for the next upcall is
//! given last, on the stack of what was interrupted, below its red zone: by then nothing on the event stack is needed any more.
#![allow(unsafe_code)]

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use exo_abi::address::{CALL_PAGE, ENVIRONMENT_PAGE, INTERFACE_PAGE};
use exo_abi::environment::{CallPage, EnvironmentPage, UPCALL_CREDIT};
use exo_abi::interface_page::InterfacePage;
use exo_abi::{Call, Error};

use crate::shared::ENVIRONMENT;
use crate::system_call::Interrupted;
use crate::{environment, gate, processor, shared, system_call, window};

/// Called for an interrupt. What it interrupts may hold the console or the heap; it must not switch, nor touch what may fault.
pub type Handler = fn();

static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// The count of all events at which the handler has looked.
static SEEN: AtomicU64 = AtomicU64::new(0);
/// 1: the handler is to be called when no frame is unread.
static DEFERRED: AtomicU64 = AtomicU64::new(0);
/// Top of the event stack.
static STACK: AtomicU64 = AtomicU64::new(0);

/// Has `handler` called for interrupts of bound vectors, and for what the kernel asks back, that come while the program computes. Others
/// are counted only.
pub fn install(handler: Handler) -> Result<(), Error> {
    HANDLER.store(handler as usize, Ordering::Relaxed);
    STACK.store(window::event_stack_top(), Ordering::Relaxed);
    gate::event_upcall_set((&raw const exo_event) as u64, window::event_stack_top())?;
    set_credit();
    Ok(())
}

/// Lets the kernel deliver one more event upcall.
pub fn set_credit() {
    shared::give_credit(offset_of!(CallPage, event_credit));
}

/// For handlers: has the handler called again as soon as the frame of the exception is read that the upcall has interrupted, where it
/// has to make a call, which would write over that frame.
pub fn defer() {
    DEFERRED.store(1, Ordering::Relaxed);
}

/// Calls the handler that was deferred. The credit is out meanwhile, as in an upcall.
pub(crate) fn catch_up() {
    if DEFERRED.load(Ordering::Relaxed) == 0 {
        return;
    }
    while shared::take_credit(offset_of!(CallPage, event_credit)) {
        DEFERRED.store(0, Ordering::Relaxed);
        call_handler();
        set_credit();
        if environment::events() == SEEN.load(Ordering::Relaxed) {
            break;
        }
    }
}

/// Event upcalls taken so far.
pub fn upcalls_taken() -> u32 {
    shared::upcalls_taken(offset_of!(CallPage, event_credit))
}

unsafe extern "C" {
    /// The stub; code, never read.
    static exo_event: u8;
}

/// Called on the event stack; how what was interrupted goes on.
extern "C" fn handle() -> Interrupted {
    call_handler();
    let word =
        |number: usize| ENVIRONMENT.word(offset_of!(EnvironmentPage, event_frame) + 8 * number);
    system_call::notice(word(0), word(2))
}

fn call_handler() {
    SEEN.store(environment::events(), Ordering::Relaxed);
    let handler = HANDLER.load(Ordering::Relaxed);
    if handler != 0 {
        // SAFETY: `install` alone writes it, from a `Handler`.
        let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
        handler();
    }
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
    "mov rax, [rax + {events} - {credit_offset}]",
    "cmp rax, [rip + {seen}]",
    "jne 6f",                               // what came between the handler's look and the credit was counted only
    "5:",
    "pop rax",
    "popfq",
    "ret {red_zone}",

    "6:",                                   // asks to be told of it, unless a call would write over the frame of an exception
    "movabs rax, {credit}",
    "test dword ptr [rax + {exception_credit} - {credit_offset}], {credit_bit}",
    "jnz 7f",
    "mov qword ptr [rip + {deferred}], 1",
    "jmp 5b",
    "7:",
    "push rcx",
    "push rdx",
    "push rsi",
    "push rdi",
    "push r8",
    "push r9",
    "push r10",
    "push r11",
    "mov eax, {call}",
    "lea rdi, [rip + exo_event]",
    "mov rsi, [rip + {stack}]",
    "mov r11, {interface}",
    "call qword ptr [r11 + {gate}]",
    "pop r11",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rdi",
    "pop rsi",
    "pop rdx",
    "pop rcx",
    "jmp 5b",

    // To the personality, which gives the credit when it has taken all registers.
    "2:",
    "cmp ebx, {program}",
    "jne exo_late",                         // ebx = how
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
    credit_offset = const offset_of!(CallPage, event_credit),
    events = const offset_of!(CallPage, events),
    exception_credit = const offset_of!(CallPage, upcall_credit),
    deferred = sym DEFERRED,
    seen = sym SEEN,
    stack = sym STACK,
    call = const Call::EventUpcallSet as u32,
    interface = const INTERFACE_PAGE,
    gate = const offset_of!(InterfacePage, gate_entry),
    credit_bit = const UPCALL_CREDIT,
    program = const Interrupted::Program as u64,
);
