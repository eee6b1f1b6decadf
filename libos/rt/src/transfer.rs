//! Protected control transfer: the registers as a message, the client's call, the server's entry.
//!
//! A server names its entry by [`accept`], gives clients what it derives from the capability, and sleeps in [`wait`]. A transfer enters
//! below, on a stack of its own: what slept in [`wait`] is left alone, and goes on there when an event comes or the handler says so.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use exo_abi::address::INTERFACE_PAGE;
use exo_abi::interface_page::InterfacePage;
use exo_abi::{Call, Capability, EnvironmentId, Error};

use crate::processor::MXCSR_DEFAULT;
use crate::{environment, gate};

/// The registers that a transfer carries. What it carries beside them (x87, upper halves of vectors, segments) nobody looks at here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Message {
    /// xmm0 .. xmm15.
    pub vectors: [[u64; 2]; 16],
    /// rbx rdx rsi rbp r8 r9 r10 r12 r13 r14 r15.
    pub general: [u64; 11],
    reserved: u64,
}

impl Message {
    /// All zero.
    pub const EMPTY: Self = Self {
        vectors: [[0; 2]; 16],
        general: [0; 11],
        reserved: 0,
    };

    /// Values that are all different, made from `seed`, which is the first.
    pub fn from_seed(seed: u64) -> Self {
        // Odd multiplier (Knuth, The Art of Computer Programming volume 3, section 6.4).
        let word = |index: usize| seed ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            vectors: core::array::from_fn(|index| [word(100 + index), word(200 + index)]),
            general: core::array::from_fn(word),
            reserved: 0,
        }
    }

    /// The first word.
    pub fn seed(&self) -> u64 {
        self.general[0]
    }
}

/// What becomes of a server when its handler has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Replies, and waits for the next transfer.
    Reply,
    /// Replies, and goes on in [`wait`] at its next turn.
    ReplyAndReturn,
    /// Replies to nobody (the transfer was asynchronous, or never gets a reply), and goes on in [`wait`] now.
    Return,
}

/// Looks at a message from this environment, and makes the reply of it.
pub type Handler = fn(EnvironmentId, &mut Message) -> Next;

static HANDLER: AtomicUsize = AtomicUsize::new(0);
/// Events that [`wait`] was told of.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// Bytes of stack for handlers.
const STACK_SIZE: usize = 16 << 10;

#[repr(C, align(16))]
struct Stack([u8; STACK_SIZE]);

static mut STACK: Stack = Stack([0; STACK_SIZE]);

/// Lets `handler` get transfers, while the program is in [`wait`]. The capability is for others to be derived from.
pub fn accept(handler: Handler) -> Result<Capability, Error> {
    HANDLER.store(handler as usize, Ordering::Relaxed);
    let top = &raw const STACK as u64 + STACK_SIZE as u64;
    gate::transfer_accept(entry_address(), top)
}

/// Where transfers enter.
pub fn entry_address() -> u64 {
    exo_transfer_entry as *const () as u64
}

/// Sleeps until the count of events differs from `seen`, or a handler wants to return; serves transfers meanwhile.
pub fn wait(seen: u64) {
    SEEN.store(seen, Ordering::Relaxed);
    let number = Call::EnvironmentWait as u64;
    // SAFETY: 1. the function keeps what the System V ABI wants kept; 2. whoever is entered meanwhile is on another stack.
    let status = unsafe { wait_willing(number, seen) };
    assert_eq!(status, 0, "environment_wait refused to wait for transfers");
}

/// What a transfer does with the registers of `message`; the status.
pub(crate) fn exchange(number: u64, argument: u64, message: &mut Message) -> u64 {
    // SAFETY: the message lives during the call; the function keeps what the System V ABI wants kept.
    unsafe { enter_with_message(number, argument, message) }
}

/// Called on the stack of handlers. What `exo_transfer_entry` does next: 0 return, else reply; and the events for that.
extern "C" fn handle(from: u64, message: &mut Message) -> Step {
    let handler = HANDLER.load(Ordering::Relaxed);
    // SAFETY: `accept` wrote it, from a `Handler`, before anybody could enter.
    let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
    let seen = SEEN.load(Ordering::Relaxed);
    match handler(EnvironmentId(from as u16), message) {
        Next::Reply => Step { reply: 1, seen },
        Next::ReplyAndReturn => Step {
            reply: 1,
            seen: !environment::events(),
        },
        Next::Return => Step { reply: 0, seen },
    }
}

#[repr(C)]
struct Step {
    reply: u64,
    seen: u64,
}

/// Loads the registers of the message at `$base`, which is none of them.
macro_rules! load_message {
    ($base:literal) => {
        concat!(
            ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n",
            "movaps xmm\\number, [",
            $base,
            " + 16 * \\number]\n",
            ".endr\n",
            ".set exo_cell, 256\n",
            ".irp register, rbx, rdx, rsi, rbp, r8, r9, r10, r12, r13, r14, r15\n",
            "mov \\register, [",
            $base,
            " + exo_cell]\n",
            ".set exo_cell, exo_cell + 8\n",
            ".endr\n",
        )
    };
}

/// Stores them.
macro_rules! store_message {
    ($base:literal) => {
        concat!(
            ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n",
            "movaps [",
            $base,
            " + 16 * \\number], xmm\\number\n",
            ".endr\n",
            ".set exo_cell, 256\n",
            ".irp register, rbx, rdx, rsi, rbp, r8, r9, r10, r12, r13, r14, r15\n",
            "mov [",
            $base,
            " + exo_cell], \\register\n",
            ".set exo_cell, exo_cell + 8\n",
            ".endr\n",
        )
    };
}

const _: () = assert!(offset_of!(Message, general) == 256);

/// # Safety
/// The message is valid.
#[unsafe(naked)]
unsafe extern "C" fn enter_with_message(number: u64, argument: u64, message: *mut Message) -> u64 {
    naked_asm!(
        "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
        "push rdx",                                     // [rsp] = the message
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov r11, rdx",
        load_message!("r11"),
        "mov r11, {interface}",
        "call qword ptr [r11 + {entry}]",
        "mov r11, [rsp]",
        store_message!("r11"),
        "cld",
        "fninit",
        "mov dword ptr [rsp], {mxcsr}",
        "ldmxcsr dword ptr [rsp]",
        "add rsp, 8",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
        "ret",
        interface = const INTERFACE_PAGE,
        entry = const offset_of!(InterfacePage, gate_entry),
        mxcsr = const MXCSR_DEFAULT,
    )
}

/// # Safety
/// Nobody else is in it.
#[unsafe(naked)]
unsafe extern "C" fn wait_willing(number: u64, seen: u64) -> u64 {
    naked_asm!(
        "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
        "sub rsp, 8",
        "mov [rip + exo_transfer_stack], rsp",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov esi, 1",                                   // willing
        "mov r11, {interface}",
        "call qword ptr [r11 + {entry}]",
        // An event has come; or exo_transfer_entry comes here, with the stack as it was.
        "exo_transfer_return:",
        "cld",
        "fninit",
        "mov dword ptr [rsp], {mxcsr}",
        "ldmxcsr dword ptr [rsp]",
        "add rsp, 8",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
        "ret",
        ".pushsection .bss.exo_transfer, \"aw\", @nobits",
        ".balign 8",
        "exo_transfer_stack: .zero 8",
        ".popsection",
        interface = const INTERFACE_PAGE,
        entry = const offset_of!(InterfacePage, gate_entry),
        mxcsr = const MXCSR_DEFAULT,
    )
}

/// Entered by the kernel, on the top of the stack of handlers: rax = who transfers, the message in registers.
#[unsafe(naked)]
extern "C" fn exo_transfer_entry() {
    naked_asm!(
        "sub rsp, {size} + 16",
        store_message!("rsp"),
        "fninit",
        "mov dword ptr [rsp + {size}], {mxcsr}",
        "ldmxcsr dword ptr [rsp + {size}]",
        "mov rdi, rax",
        "mov rsi, rsp",
        "call {handle}",                                // rax = whether to reply, rdx = events seen
        "test rax, rax",
        "jz 2f",
        "mov rdi, rdx",
        load_message!("rsp"),
        "mov eax, {reply}",
        "mov r11, {interface}",
        "call qword ptr [r11 + {entry}]",               // comes back with an event, or refused
        "2:",
        "mov rsp, [rip + exo_transfer_stack]",
        "jmp exo_transfer_return",
        size = const size_of::<Message>(),
        handle = sym handle,
        reply = const Call::TransferReply as u32,
        interface = const INTERFACE_PAGE,
        entry = const offset_of!(InterfacePage, gate_entry),
        mxcsr = const MXCSR_DEFAULT,
    )
}
