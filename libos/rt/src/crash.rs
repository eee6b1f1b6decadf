//! Telling the host of a crash.
#![allow(unsafe_code)]

use core::arch::asm;

use exo_abi::crash::CrashRecord;
use exo_abi::port::CRASH_PORT;

use crate::console;

/// Has the host read a record and what it leads to, which must stay as it is until then; false where the environment has not been given
/// the port.
pub fn report(record: &CrashRecord) -> bool {
    if !console::holds(CRASH_PORT) {
        return false;
    }
    // SAFETY: 1. the I/O bitmap permits the port, as checked above; 2. the host only reads.
    unsafe {
        asm!("out dx, eax", in("dx") CRASH_PORT, in("eax") 0, in("rdi") core::ptr::from_ref(record),
            options(nostack, readonly, preserves_flags));
    }
    true
}
