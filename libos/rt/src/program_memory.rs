//! Memory of a program that a personality runs in its own environment: read and written by addresses that the program gave.
//!
//! An address that leads nowhere is an error and not a fault. Like `/proc/self/mem` under Linux, this reaches past what Rust knows:
//! a personality must not let its program name the personality's own memory.
#![allow(unsafe_code)]

use core::arch::asm;
use core::ops::Range;

use crate::fault::{FaultRecord, catch_fault};

unsafe extern "C" {
    /// First byte of what is linked, by the linker script.
    static exo_program_start: u8;
    /// First byte behind it.
    static exo_program_end: u8;
    /// First byte of what each environment has for itself.
    static exo_data_start: u8;
    /// First byte behind the part of it that does not start as zeros.
    static exo_data_end: u8;
}

/// Where what this runtime is linked into lies itself.
pub fn image() -> Range<u64> {
    (&raw const exo_program_start) as u64..(&raw const exo_program_end) as u64
}

/// The part of it that each environment has for itself.
pub fn data() -> Range<u64> {
    (&raw const exo_data_start) as u64..image().end
}

/// The part of that which does not start as zeros.
pub fn initialised_data() -> Range<u64> {
    data().start..(&raw const exo_data_end) as u64
}

/// Copies bytes from one address of the program to another.
pub fn copy(from: u64, to: u64, bytes: u64) -> Result<(), FaultRecord> {
    catch_fault(|| {
        // SAFETY: 1. what is read and written was named by the caller, who answers for it; 2. where it faults, `catch_fault`
        // takes over, and nothing is borrowed meanwhile.
        unsafe {
            asm!("rep movsb", inout("rsi") from => _, inout("rdi") to => _, inout("rcx") bytes => _,
                options(nostack, preserves_flags));
        }
    })
}

/// Reads bytes at `address` of the program.
pub fn read(address: u64, into: &mut [u8]) -> Result<(), FaultRecord> {
    copy(address, into.as_mut_ptr() as u64, into.len() as u64)
}

/// Writes bytes to `address` of the program.
pub fn write(address: u64, bytes: &[u8]) -> Result<(), FaultRecord> {
    copy(bytes.as_ptr() as u64, address, bytes.len() as u64)
}

/// Reads the four bytes at `address`, a multiple of 4, at once.
pub fn load(address: u64) -> Result<u32, FaultRecord> {
    catch_fault(|| {
        let value;
        // SAFETY: as in `copy`.
        unsafe {
            asm!("mov {:e}, [{}]", out(reg) value, in(reg) address, options(nostack, preserves_flags))
        };
        value
    })
}

/// Writes `new` to the four bytes at `address`, a multiple of 4, if `expected` is there; what was there.
pub fn compare_exchange(address: u64, expected: u32, new: u32) -> Result<u32, FaultRecord> {
    catch_fault(|| {
        let found;
        // SAFETY: as in `copy`.
        unsafe {
            asm!("lock cmpxchg [{}], {:e}", in(reg) address, in(reg) new, inout("eax") expected => found, options(nostack));
        }
        found
    })
}

/// Writes zeros.
pub fn zero(address: u64, bytes: u64) -> Result<(), FaultRecord> {
    catch_fault(|| {
        // SAFETY: as in `copy`.
        unsafe {
            asm!("rep stosb", in("al") 0u8, inout("rdi") address => _, inout("rcx") bytes => _,
                options(nostack, preserves_flags));
        }
    })
}

/// Sets the base of FS, which holds a program's thread-local storage.
pub fn set_thread_base(address: u64) -> Result<(), FaultRecord> {
    catch_fault(|| {
        // SAFETY: the runtime uses no FS; where the instruction or the address is refused, `catch_fault` takes over.
        unsafe { asm!("wrfsbase {}", in(reg) address, options(nostack, preserves_flags)) };
    })
}

/// The base of FS.
pub fn thread_base() -> Result<u64, FaultRecord> {
    catch_fault(|| {
        let base;
        // SAFETY: reads a base; as above.
        unsafe { asm!("rdfsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) };
        base
    })
}
