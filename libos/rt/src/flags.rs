//! Gates and exceptions with any flags set right before them, the trap flag included.
#![allow(unsafe_code)]

use core::arch::asm;

use exo_abi::interface_page::Gate;

use crate::tables;

/// The trap flag: an exception after each instruction.
pub const TRAP: u64 = 1 << 8;

/// What is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The instruction of the gate, with this number.
    Gate(u64),
    /// The same, in the shadow of a load of SS, which holds debug exceptions back (Intel SDM volume 3, section 7.8.3).
    GateInShadow(u64),
    /// `int3` with this number, whatever the gate is.
    Breakpoint(u64),
    /// `ud2`; the handler has to go on behind it.
    Undefined,
}

impl Step {
    /// Executes it with these flags. Returns status and flags behind it, as a handler that went on there has left them.
    pub fn execute(self, flags: u64) -> (u64, u64) {
        let by_syscall = tables::gate() == Some(Gate::Syscall);
        match self {
            Self::Gate(number) if by_syscall => system_call(flags, number),
            Self::GateInShadow(number) if by_syscall => system_call_in_shadow(flags, number),
            Self::Gate(number) | Self::Breakpoint(number) => breakpoint(flags, number),
            Self::GateInShadow(number) => breakpoint_in_shadow(flags, number),
            Self::Undefined => undefined(flags, 0),
        }
    }
}

/// The flags of now.
pub fn current() -> u64 {
    let flags;
    // SAFETY: pushes and pops on the stack, below which nothing is kept, as `nostack` is not given.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags) };
    flags
}

macro_rules! steps {
    ($($name:ident: $($instruction:literal),+;)+) => {
        $(fn $name(flags: u64, number: u64) -> (u64, u64) {
            let (status, after);
            // SAFETY: 1. stack and flags are put back; 2. what a call loses is an output; 3. a handler that goes on where it was
            // interrupted, or behind the instruction, changes nothing else.
            unsafe {
                asm!(
                    "mov ecx, ss",
                    "push rdi",
                    "popfq",
                    $($instruction,)+
                    "nop",
                    "nop",
                    "pushfq",
                    "pop r8",
                    "push 0x202",
                    "popfq",
                    inlateout("rax") number => status,
                    inlateout("rdi") flags => _,
                    lateout("r8") after,
                    lateout("rcx") _, lateout("rdx") _, lateout("rsi") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
                )
            };
            (status, after)
        })+
    };
}

steps! {
    system_call: "syscall";
    system_call_in_shadow: "mov ss, ecx", "syscall";
    breakpoint: "int3";
    breakpoint_in_shadow: "mov ss, ecx", "int3";
    undefined: "ud2";
}
