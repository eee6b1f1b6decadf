//! The start of a member: an environment that another of the family has made.
//!
//! Whoever makes it maps the program's code and constants, its data, freshly initialised, with room for the stacks behind, and the first pages
//! of the heap, each where it lies in the maker.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::ops::Range;
use core::sync::atomic::Ordering;

use exo_abi::address::PAGE_SIZE;

use super::header;
use crate::processor::MXCSR_DEFAULT;
use crate::{program_memory, upcall, window};

/// What lies where in a member, in whole pages.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Code and constants: as in the maker.
    pub code: Range<u64>,
    /// Its own: data, then stacks.
    pub own: Range<u64>,
    /// Its stack, when it starts.
    pub stack: u64,
}

/// The layout of a member.
pub fn layout() -> Layout {
    let image = program_memory::image();
    let data = program_memory::data();
    let stacks = data.end.next_multiple_of(PAGE_SIZE);
    Layout {
        code: image.start..data.start,
        own: data.start..stacks + window::STACKS_SIZE,
        stack: stacks + window::STACK_SIZE,
    }
}

/// Its first instruction; `rax` is the number of its seat then.
pub fn first_instruction() -> u64 {
    enter as *const () as u64
}

#[unsafe(naked)]
extern "C" fn enter() -> ! {
    naked_asm!(
        "mov rdi, rax",
        "push {mxcsr}",
        "ldmxcsr dword ptr [rsp]",
        "fninit",
        "pop rcx",
        "xor ebp, ebp",                 // the outermost frame
        "call {begin}",
        "ud2",
        mxcsr = const MXCSR_DEFAULT,
        begin = sym begin,
    )
}

extern "C" fn begin(seat: usize) -> ! {
    window::place_stacks(layout().own.end - window::STACKS_SIZE);
    upcall::install();
    super::join();
    let main = header().member_main.load(Ordering::Relaxed) as usize;
    // SAFETY: `found` wrote it, from a function of this type, and members run the same program.
    let main: fn(usize) -> ! = unsafe { core::mem::transmute::<usize, fn(usize) -> !>(main) };
    main(seat)
}
