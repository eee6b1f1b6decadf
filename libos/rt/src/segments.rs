//! Segment loads and calls through gates: what a hostile program tries with descriptor tables.
#![allow(unsafe_code)]

use core::arch::{asm, naked_asm};

use crate::fault::{FaultRecord, catch_fault};

/// Loads DS.
pub fn load(selector: u16) -> Result<(), FaultRecord> {
    catch_fault(|| {
        // SAFETY: 64-bit mode makes no use of DS; where the load faults, `catch_fault` takes over.
        unsafe { asm!("mov ds, {selector:x}", selector = in(reg) selector, options(nostack)) };
    })
}

/// Address of what a call gate may lead to: returns CR3, which only ring 0 can read.
pub fn gate_target() -> u64 {
    read_root as *const () as u64
}

/// Calls through a call gate that leads to [`gate_target`]; the value that came back.
pub fn call_gate(selector: u16) -> Result<u64, FaultRecord> {
    let pointer = FarPointer {
        offset: 0,
        selector,
    };
    catch_fault(|| {
        let value: u64;
        // SAFETY: where there is a gate, its target changes rax only; where there is none, `catch_fault` takes over.
        unsafe {
            asm!("call fword ptr [{pointer}]", pointer = in(reg) &raw const pointer, out("rax") value)
        };
        value
    })
}

/// What a far call reads.
#[repr(C, packed)]
struct FarPointer {
    offset: u32,
    selector: u16,
}

/// Entered by a far call only.
#[unsafe(naked)]
extern "C" fn read_root() {
    naked_asm!("mov rax, cr3", "retfq")
}
