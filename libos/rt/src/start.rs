//! From the first instruction to `main`, and from its status to the end.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::fmt::Display;
use core::mem::offset_of;

use exo_abi::ABI_VERSION;
use exo_abi::address::{CALL_PAGE, ENVIRONMENT_PAGE, FRAME_WINDOW, PAGE_SHIFT};
use exo_abi::environment::{CallPage, EnvironmentPage};
use exo_abi::version::{NOTE_NAME, NOTE_TYPE_ABI_VERSION};

use crate::{console, family, gate, upcall, window};

/// The ELF note with the ABI version (System V gABI, note section).
#[repr(C)]
pub struct Note {
    name_size: u32,
    descriptor_size: u32,
    kind: u32,
    name: [u8; NOTE_NAME.len()],
    descriptor: u32,
}

impl Note {
    /// The note of programs built with this runtime.
    pub const THIS: Self = Self {
        name_size: NOTE_NAME.len() as u32,
        descriptor_size: size_of::<u32>() as u32,
        kind: NOTE_TYPE_ABI_VERSION,
        name: NOTE_NAME,
        descriptor: ABI_VERSION,
    };
}

/// Stores the time stamp in edx:eax, makes the stack at the bottom of the memory grant, and goes to `rdi`.
///
/// Entered by `_start`, with no stack and all other registers zero.
#[unsafe(naked)]
pub extern "C" fn enter() -> ! {
    naked_asm!(
        "shl rdx, 32",
        "or rax, rdx",
        "movabs rcx, {call_page} + {start_time}",
        "mov [rcx], rax",
        "movabs rcx, {environment_page} + {grant_first}",
        "mov rsp, [rcx]",
        "shl rsp, {page_shift}",
        "movabs rcx, {window} + {stack_size}",
        "add rsp, rcx",                 // a multiple of 64 KiB, so aligned as the call needs it
        "push {mxcsr}",                 // x87 and SSE may hold what another environment left
        "ldmxcsr dword ptr [rsp]",
        "fninit",
        "pop rcx",
        "xor ebp, ebp",                 // the outermost frame
        "call rdi",
        "ud2",
        call_page = const CALL_PAGE,
        start_time = const offset_of!(CallPage, start_time),
        environment_page = const ENVIRONMENT_PAGE,
        grant_first = const offset_of!(EnvironmentPage, grant_first),
        page_shift = const PAGE_SHIFT,
        window = const FRAME_WINDOW,
        stack_size = const window::STACK_SIZE,
        mxcsr = const crate::processor::MXCSR_DEFAULT,
    )
}

/// What `main` may return.
pub trait Status {
    /// The exit status; says on the console what went wrong, if anything did.
    fn report(self) -> u64;
}

impl Status for () {
    fn report(self) -> u64 {
        0
    }
}

impl Status for u64 {
    fn report(self) -> u64 {
        self
    }
}

impl<T: Status, E: Display> Status for Result<T, E> {
    fn report(self) -> u64 {
        match self {
            Ok(status) => status.report(),
            Err(error) => {
                crate::println!("{}: {error}", crate::environment::name());
                1
            }
        }
    }
}

/// Runs a program with exception upcalls, and ends the environment.
pub fn run<S: Status>(main: impl FnOnce() -> S) -> ! {
    upcall::install();
    run_without_upcalls(main)
}

/// Runs the first program of a family with exception upcalls, and ends the environment.
pub fn run_family<S: Status>(main: impl FnOnce() -> S, member_main: fn(usize) -> !) -> ! {
    family::found(member_main);
    run(main)
}

/// Runs a program, and ends the environment.
pub fn run_without_upcalls<S: Status>(main: impl FnOnce() -> S) -> ! {
    exit(main().report())
}

/// Ends the environment after what was printed has gone out.
pub fn exit(status: u64) -> ! {
    console::flush();
    gate::environment_exit(status)
}
