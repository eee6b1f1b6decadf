//! Accesses that are meant to fault: what a hostile program does, as functions.
//!
//! They refuse the program's own image and memory grant, so that what Rust owns stays out of their reach.
#![allow(unsafe_code)]

use core::arch::asm;
use core::mem::offset_of;

use exo_abi::Call;
use exo_abi::address::INTERFACE_PAGE;
use exo_abi::interface_page::{Gate, InterfacePage};

use crate::fault::{FaultRecord, catch_fault};
use crate::program_memory::image;
use crate::{tables, window};

pub(crate) fn refuse_own_memory(address: u64) {
    let own_image = image().contains(&address);
    let own_grant = (window::grant_start()..window::grant_end()).contains(&address);
    assert!(
        !own_image && !own_grant,
        "a probe of the program's own memory"
    );
}

/// Reads 8 bytes at any address that is not the program's own memory.
pub fn read(address: u64) -> Result<u64, FaultRecord> {
    refuse_own_memory(address);
    catch_fault(|| {
        let value: u64;
        // SAFETY: a load; where it faults, `catch_fault` takes over.
        unsafe {
            asm!("mov {value}, [{address}]", value = out(reg) value, address = in(reg) address)
        };
        value
    })
}

/// Writes 8 bytes at any address that is not the program's own memory.
pub fn write(address: u64, value: u64) -> Result<(), FaultRecord> {
    refuse_own_memory(address);
    catch_fault(|| {
        // SAFETY: 1. no Rust object lives there, as checked; 2. where it faults, `catch_fault` takes over.
        unsafe {
            asm!("mov [{address}], {value}", value = in(reg) value, address = in(reg) address)
        };
    })
}

/// Calls an address that is not the program's own memory.
pub fn execute(address: u64) -> Result<(), FaultRecord> {
    refuse_own_memory(address);
    catch_fault(|| {
        // SAFETY: where it does not fault, it is code that another part of the program put there as a C function.
        unsafe { asm!("call {address}", address = in(reg) address, clobber_abi("C")) };
    })
}

/// Bytes of [`undefined_instruction`]'s instruction.
pub const UNDEFINED_INSTRUCTION_SIZE: u64 = 2;

/// Executes `ud2`; a handler may go on behind it.
pub fn undefined_instruction() {
    // SAFETY: it changes nothing; what happens then is the handler's.
    unsafe { asm!("ud2", options(nomem, nostack, preserves_flags)) };
}

/// Calls an address of the own memory grant, which no mapping of the frame window lets it execute.
pub fn execute_grant(address: u64) -> Result<(), FaultRecord> {
    assert!((window::grant_start()..window::grant_end()).contains(&address));
    catch_fault(|| {
        // SAFETY: the frame window is not executable, so this faults, and `catch_fault` takes over.
        unsafe { asm!("call {address}", address = in(reg) address, clobber_abi("C")) };
    })
}

/// Runs `ud2` with the stack pointer at `stack`.
pub fn undefined_instruction_on(stack: u64) -> Result<(), FaultRecord> {
    catch_fault(|| {
        // SAFETY: `ud2` faults always, so nothing runs on that stack, and `catch_fault` brings the old one back.
        unsafe { asm!("mov rsp, {stack}", "ud2", stack = in(reg) stack) };
    })
}

/// Pushes with the stack pointer at `stack`, which must not be memory of the program.
pub fn push_on(stack: u64) -> Result<(), FaultRecord> {
    refuse_own_memory(stack.wrapping_sub(8));
    catch_fault(|| {
        // SAFETY: 1. no Rust object lives there, as checked; 2. `ud2` ends it at the latest, and `catch_fault` brings the old
        // stack back.
        unsafe { asm!("mov rsp, {stack}", "push rax", "ud2", stack = in(reg) stack) };
    })
}

/// Makes the call `null` with the stack pointer at `stack`, then executes `ud2`.
pub fn null_call_on(stack: u64) -> Result<(), FaultRecord> {
    let breakpoint = tables::gate() == Some(Gate::Breakpoint);
    catch_fault(|| {
        if breakpoint {
            // SAFETY: `ud2` faults always, so nothing uses that stack, and `catch_fault` brings the old one back.
            unsafe {
                asm!("mov rsp, rsi", "int3", "ud2", in("rsi") stack, in("rax") Call::Null as u64)
            };
        } else {
            // SAFETY: as above.
            unsafe {
                asm!("mov rsp, rsi", "syscall", "ud2", in("rsi") stack, in("rax") Call::Null as u64)
            };
        }
    })
}

/// Makes the call `null` with these flags set as well; the status.
pub fn null_call_with_flags(flags: u64) -> u64 {
    let status;
    // SAFETY: 1. the flags are put back to what they were; 2. registers that a call loses are outputs; 3. the red zone is
    // free, as `nostack` is not given.
    unsafe {
        asm!(
            "pushfq",
            "push rdi",
            "popfq",
            "call qword ptr [r11 + {entry}]",
            "popfq",
            entry = const offset_of!(InterfacePage, gate_entry),
            inlateout("rax") Call::Null as u64 => status,
            inlateout("rdi") flags | FLAGS => _,
            inlateout("r11") INTERFACE_PAGE => _,
            lateout("rsi") _, lateout("rdx") _, lateout("r10") _, lateout("rcx") _, lateout("r8") _, lateout("r9") _,
        );
    }
    status
}

/// Executes `ud2` with these flags set as well.
pub fn undefined_instruction_with_flags(flags: u64) -> Result<(), FaultRecord> {
    catch_fault(|| {
        // SAFETY: `ud2` faults always, and `catch_fault` puts stack and flags in order.
        unsafe { asm!("push {flags}", "popfq", "ud2", flags = in(reg) flags | FLAGS) };
    })
}

/// Flags that are always there: interrupts on, and bit 1.
const FLAGS: u64 = 0x202;

/// Executes `syscall` with any number and no arguments.
pub fn system_call(number: u64) -> Result<(), FaultRecord> {
    catch_fault(|| {
        // SAFETY: with a number that is no kernel call it becomes an upcall, and `catch_fault` takes over.
        unsafe { asm!("syscall", inlateout("rax") number => _, clobber_abi("C")) };
    })
}

/// An instruction that ring 3 may not execute, and its name.
#[derive(Clone, Copy)]
pub struct Instruction {
    /// Assembly.
    pub name: &'static str,
    function: fn(),
}

impl Instruction {
    /// Executes it.
    pub fn execute(&self) -> Result<(), FaultRecord> {
        catch_fault(self.function)
    }
}

macro_rules! instructions {
    ($(#[$meta:meta])* $list:ident: $($name:literal $(, $setup:literal)?;)+) => {
        $(#[$meta])*
        pub const $list: &[Instruction] = &[$(Instruction {
            name: $name,
            function: || {
                // SAFETY: it faults in ring 3, and `catch_fault` takes over; should it not, what it sets is harmless
                // to Rust, or the kernel is broken.
                unsafe { asm!($($setup,)? $name, out("rax") _, out("rcx") _, out("rdx") _) };
            },
        }),+];
    };
}

instructions!(
    /// Instructions that raise #GP(0) outside ring 0 (Intel SDM volume 2, their pages).
    PRIVILEGED:
    "hlt";
    "cli";
    "sti";
    "clts";
    "invd";
    "wbinvd";
    "swapgs";
    "mov rax, cr0";
    "mov rax, cr3";
    "mov cr0, rax", "xor eax, eax";
    "mov cr3, rax", "xor eax, eax";
    "mov cr4, rax", "xor eax, eax";
    "mov cr8, rax", "xor eax, eax";
    "mov rax, dr7";
    "mov dr7, rax", "xor eax, eax";
    "rdmsr", "mov ecx, 0xc0000080";
    "wrmsr", "mov ecx, 0xc0000080; xor eax, eax; xor edx, edx";
    "lgdt [rsp]";
    "lidt [rsp]";
    "lldt ax", "xor eax, eax";
    "ltr ax", "xor eax, eax";
    "lmsw ax", "xor eax, eax";
    "invlpg [rsp]";
    "sysretq";
);

instructions!(
    /// Port accesses to ports that no environment is given: #GP(0) by the I/O bitmap (Intel SDM volume 1, section 19.5.2).
    PORTS:
    "in al, 0x60";
    "out 0x80, al", "xor eax, eax";
    "out dx, eax", "xor eax, eax; mov edx, 0xf4";
    "out dx, eax", "xor eax, eax; mov edx, 0x510";
    "in al, dx", "mov edx, 0x3f9";
    "out dx, al", "xor eax, eax; mov edx, 0xcf8";
    "in eax, dx", "mov edx, 0xffff";
);

instructions!(
    /// Accesses to ports of which some are outside 0x3f9 to 0x3fb, for an environment that was given these.
    BESIDE_PORTS:
    "in al, dx", "mov edx, 0x3f8";
    "out dx, al", "xor eax, eax; mov edx, 0x3f8";
    "in al, dx", "mov edx, 0x3fc";
    "out dx, al", "xor eax, eax; mov edx, 0x3fc";
    "in ax, dx", "mov edx, 0x3f8";
    "in ax, dx", "mov edx, 0x3fb";
    "in eax, dx", "mov edx, 0x3f9";
    "in al, dx", "mov edx, 0x7f9";
    "in al, dx", "mov edx, 0x400";
    "out dx, eax", "xor eax, eax; mov edx, 0x510";
    "out dx, eax", "xor eax, eax; mov edx, 0xf4";
    "in al, dx", "mov edx, 0xffff";
);

instructions!(
    /// Accesses to these ports.
    WITHIN_PORTS:
    "in al, dx", "mov edx, 0x3f9";
    "in ax, dx", "mov edx, 0x3fa";
    "in al, dx", "mov edx, 0x3fb";
);

instructions!(
    /// A write to the console port, for an environment that was not given it.
    CONSOLE:
    "out dx, al", "xor eax, eax; mov edx, 0x3f8";
);

instructions!(
    /// `int n` through gates that ring 3 may not use, in the order of [`SOFTWARE_INTERRUPT_VECTORS`].
    SOFTWARE_INTERRUPTS:
    "int 0x02";
    "int 0x08";
    "int 0x0e";
    "int 0x20";
    "int 0x80";
    "int 0xff";
);

/// The vectors of [`SOFTWARE_INTERRUPTS`].
pub const SOFTWARE_INTERRUPT_VECTORS: &[u64] = &[0x02, 0x08, 0x0e, 0x20, 0x80, 0xff];
const _: () = assert!(SOFTWARE_INTERRUPTS.len() == SOFTWARE_INTERRUPT_VECTORS.len());
