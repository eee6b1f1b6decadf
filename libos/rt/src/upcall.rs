//! Exception upcalls: entry, handler, and the way back, all in user mode.
//!
//! The kernel enters at a slot of the table below with the upcall stack and the flags clean; everything else is as the
//! exception found it. The stub saves it all, gives the kernel its credit back, and calls the handler, which may fault itself:
//! then the next stub finds that it interrupted the upcall stack, and stays below what is in use there.
#![allow(unsafe_code)]

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use exo_abi::address::{CALL_PAGE, ENVIRONMENT_PAGE};
use exo_abi::environment::{CallPage, EXCEPTION_STACK_TOP, UPCALL_CREDIT, UPCALL_SLOTS};
use exo_abi::upcall::{UPCALL_ENTRY_STRIDE, Vector};

use crate::fault::{self, FaultRecord};
use crate::window::UPCALL_STACK_SIZE;
use crate::{environment, events, family, gate, panic, println, processor, start, window};

/// Everything that an exception interrupted. A handler may change it; the change is what goes on.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Fault {
    /// x87 and SSE state, as `fxsave64` writes it.
    pub floating_point: [u8; 512],
    /// Register.
    pub rax: u64,
    /// Register.
    pub rbx: u64,
    /// Register.
    pub rcx: u64,
    /// Register.
    pub rdx: u64,
    /// Register.
    pub rsi: u64,
    /// Register.
    pub rdi: u64,
    /// Register.
    pub rbp: u64,
    /// Register.
    pub r8: u64,
    /// Register.
    pub r9: u64,
    /// Register.
    pub r10: u64,
    /// Register.
    pub r11: u64,
    /// Register.
    pub r12: u64,
    /// Register.
    pub r13: u64,
    /// Register.
    pub r14: u64,
    /// Register.
    pub r15: u64,
    /// Which exception: a [`Vector`].
    pub vector: u64,
    /// Its error code, or 0.
    pub error_code: u64,
    /// CR2 of a page fault, or 0.
    pub address: u64,
    /// Instruction pointer.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
}

impl Fault {
    /// Nothing in any register.
    pub(crate) const ZERO: Self = Self {
        floating_point: [0; 512],
        rax: 0,
        rbx: 0,
        rcx: 0,
        rdx: 0,
        rsi: 0,
        rdi: 0,
        rbp: 0,
        r8: 0,
        r9: 0,
        r10: 0,
        r11: 0,
        r12: 0,
        r13: 0,
        r14: 0,
        r15: 0,
        vector: 0,
        error_code: 0,
        address: 0,
        rip: 0,
        rflags: 0,
        rsp: 0,
    };
}

/// What a handler wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Go on with the registers as they now stand in the [`Fault`].
    Resume,
    /// Not mine: print the fault and end the program.
    Unhandled,
}

/// A handler of exceptions. What it interrupts may hold the console or the heap.
pub type Handler = fn(&mut Fault) -> Action;

static HANDLER: AtomicUsize = AtomicUsize::new(0);

/// Makes `handler` get the exceptions that no [`fault::catch_fault`] takes.
pub fn set_handler(handler: Handler) {
    HANDLER.store(handler as usize, Ordering::Relaxed);
}

/// Tells the kernel where upcalls go, and gives it the credit for the first.
pub fn install() {
    gate::upcall_set(entries_address(), window::upcall_stack_top())
        .expect("upcall_set was refused");
    environment::set_upcall_credit();
}

/// Address of the entry table.
pub fn entries_address() -> u64 {
    (&raw const exo_upcall_entries) as u64
}

unsafe extern "C" {
    /// The entry table; code, never read.
    static exo_upcall_entries: u8;
}

/// Called on the upcall stack with the saved state.
extern "C" fn handle(fault: &mut Fault) {
    events::catch_up();
    if family::handle_fault(fault) || fault::recover(fault) {
        return;
    }
    let handler = HANDLER.load(Ordering::Relaxed);
    if handler != 0 {
        // SAFETY: `set_handler` alone writes it, from a `Handler`.
        let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
        if handler(fault) == Action::Resume {
            return;
        }
    }
    println!("{}: {}", environment::name(), FaultRecord::new(fault));
    start::exit(panic::FAULT_STATUS)
}

/// Bit v: vector v pushes an error code. Slot 32 has none, and `bt` takes the number modulo 32, where 0 has none either.
const ERROR_CODE_VECTORS: u32 = {
    let mut mask = 0;
    let mut index = 0;
    while index < Vector::ALL.len() {
        if Vector::ALL[index].has_error_code() {
            mask |= 1 << (Vector::ALL[index] as u64);
        }
        index += 1;
    }
    mask
};

/// What an exception leaves at the top of the exception stack (Intel SDM volume 3, section 6.14.2). The kernel adds the address
/// of a page fault. Words that an exception does not have are not written.
#[repr(C)]
struct Frame {
    address: u64,
    error_code: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// Where it lies.
const FRAME: u64 = ENVIRONMENT_PAGE + EXCEPTION_STACK_TOP - size_of::<Frame>() as u64;

/// An event has come that the program's libOS has not looked at yet: it wants to be asked before anything goes on.
pub(crate) static NOTICED: AtomicBool = AtomicBool::new(false);
/// Where it is asked, if it runs programs. An address, so that others are linked without the stack on which that happens.
pub(crate) static LATE: AtomicU64 = AtomicU64::new(0);

// Entered from the kernel at entry + 16 * vector: rsp = top of the upcall stack, credit taken, rest as interrupted.
// Leaves by restoring everything and a jump: the red zone of what was interrupted is never written.
global_asm!(
    ".pushsection .text.exo_upcall, \"ax\", @progbits",
    ".balign 16",
    "exo_upcall_entries:",
    ".set exo_upcall_vector, 0",
    ".rept {slots}",
    ".balign {stride}",
    "push rax",                           // top - 8
    ".byte 0xb0, exo_upcall_vector",      // mov al, vector
    "jmp exo_upcall_common",
    ".set exo_upcall_vector, exo_upcall_vector + 1",
    ".endr",

    ".balign 16",
    "exo_upcall_common:",
    "push rcx",                           // top - 16
    "push rdx",                           // top - 24: these three cells are free again once copied below
    "movzx eax, al",
    "movabs rcx, {frame}",
    "mov rcx, [rcx + {frame_rsp}]",       // interrupted
    "lea rdx, [rsp + 24 - {stack_size}]",
    "cmp rcx, rdx",
    "jbe 2f",                             // below the upcall stack
    "lea rdx, [rsp + 24]",
    "cmp rcx, rdx",
    "lea rdx, [rcx - {red_zone}]",        // keep a red zone of the handler that was interrupted
    "jbe 3f",
    "2:",
    "mov rdx, rsp",
    "3:",
    "sub rdx, {size}",
    "and rdx, -16",                       // fxsave wants it
    "mov [rdx + {rbx}], rbx",
    "mov [rdx + {rsi}], rsi",
    "mov [rdx + {rdi}], rdi",
    "mov [rdx + {rbp}], rbp",
    "mov [rdx + {r8}], r8",
    "mov [rdx + {r9}], r9",
    "mov [rdx + {r10}], r10",
    "mov [rdx + {r11}], r11",
    "mov [rdx + {r12}], r12",
    "mov [rdx + {r13}], r13",
    "mov [rdx + {r14}], r14",
    "mov [rdx + {r15}], r15",
    "pop rbx",
    "mov [rdx + {rdx}], rbx",
    "pop rbx",
    "mov [rdx + {rcx}], rbx",
    "pop rbx",
    "mov [rdx + {rax}], rbx",
    "mov [rdx + {vector}], rax",
    "mov [rdx + {rsp}], rcx",
    "movabs rcx, {frame}",
    "mov rbx, [rcx + {frame_rflags}]",
    "mov [rdx + {rflags}], rbx",
    "mov rbx, [rcx + {frame_rip}]",
    "mov [rdx + {rip}], rbx",
    "xor ebx, ebx",
    "mov esi, {error_code_vectors}",
    "bt esi, eax",
    "jnc 4f",
    "mov rbx, [rcx + {frame_error_code}]",
    "4:",
    "mov [rdx + {error_code}], rbx",
    "xor ebx, ebx",
    "cmp eax, {page_fault}",
    "jne 5f",
    "mov rbx, [rcx + {frame_address}]",
    "5:",
    "mov [rdx + {address}], rbx",
    "mov rsp, rdx",
    "fxsave64 [rsp]",
    "fninit",
    "push {mxcsr}",
    "ldmxcsr dword ptr [rsp]",
    "add rsp, 8",
    "movabs rcx, {credit}",
    "or dword ptr [rcx], {credit_bit}",   // the frame is taken: the next upcall may come
    "mov rdi, rsp",
    "call {handle}",

    "exo_resume:",                        // rsp = the saved state
    "mov [rip + exo_resume_state], rsp",
    "exo_resume_begin:",                  // an event that comes from here to the jump finds the state whole: system_call.rs goes back by it
    "cmp byte ptr [rip + {noticed}], 0",
    "jne 6f",
    "exo_resume_anyway:",
    "fxrstor64 [rsp]",
    "mov rax, [rsp + {rip}]",
    "mov [rip + exo_resume_address], rax",
    "push qword ptr [rsp + {rflags}]",
    "popfq",
    "mov rax, [rsp + {rax}]",
    "mov rbx, [rsp + {rbx}]",
    "mov rcx, [rsp + {rcx}]",
    "mov rdx, [rsp + {rdx}]",
    "mov rsi, [rsp + {rsi}]",
    "mov rdi, [rsp + {rdi}]",
    "mov rbp, [rsp + {rbp}]",
    "mov r8, [rsp + {r8}]",
    "mov r9, [rsp + {r9}]",
    "mov r10, [rsp + {r10}]",
    "mov r11, [rsp + {r11}]",
    "mov r12, [rsp + {r12}]",
    "mov r13, [rsp + {r13}]",
    "mov r14, [rsp + {r14}]",
    "mov r15, [rsp + {r15}]",
    "mov rsp, [rsp + {rsp}]",
    "jmp qword ptr [rip + exo_resume_address]",
    "exo_resume_end:",
    "6:",
    "jmp qword ptr [rip + {late}]",
    ".popsection",

    // One cell will do: between its write and the jump no exception can come but one that the interrupted code asked for.
    ".pushsection .bss.exo_resume, \"aw\", @nobits",
    ".balign 8",
    "exo_resume_address: .zero 8",
    "exo_resume_state: .zero 8",
    ".popsection",
    noticed = sym NOTICED,
    late = sym LATE,
    slots = const UPCALL_SLOTS,
    stride = const UPCALL_ENTRY_STRIDE,
    frame = const FRAME,
    frame_address = const offset_of!(Frame, address),
    frame_error_code = const offset_of!(Frame, error_code),
    frame_rip = const offset_of!(Frame, rip),
    frame_rflags = const offset_of!(Frame, rflags),
    frame_rsp = const offset_of!(Frame, rsp),
    red_zone = const processor::RED_ZONE,
    stack_size = const UPCALL_STACK_SIZE,
    size = const size_of::<Fault>(),
    error_code_vectors = const ERROR_CODE_VECTORS,
    page_fault = const Vector::PageFault as u64,
    mxcsr = const processor::MXCSR_DEFAULT,
    credit = const CALL_PAGE + offset_of!(CallPage, upcall_credit) as u64,
    credit_bit = const UPCALL_CREDIT,
    handle = sym handle,
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
    vector = const offset_of!(Fault, vector),
    error_code = const offset_of!(Fault, error_code),
    address = const offset_of!(Fault, address),
    rip = const offset_of!(Fault, rip),
    rflags = const offset_of!(Fault, rflags),
    rsp = const offset_of!(Fault, rsp),
);
