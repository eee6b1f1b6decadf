//! Runs the code in which turns begin, again and again, although no turn begins: what nobody needs, but may do.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::mem::offset_of;

use exo_abi::Call;
use exo_abi::address::{ENVIRONMENT_PAGE, INTERFACE_PAGE, PAGE_SIZE};
use exo_abi::environment::EXCEPTION_STACK_TOP;
use exo_abi::interface_page::InterfacePage;

use crate::environment;

/// What the code begins with on every CPU: `movabs rdx`, and where an entry into the kernel has left RIP.
fn beginning() -> [u8; 10] {
    let mut bytes = [0x48, 0xba, 0, 0, 0, 0, 0, 0, 0, 0];
    let frame = ENVIRONMENT_PAGE + EXCEPTION_STACK_TOP - 40;
    bytes[2..].copy_from_slice(&frame.to_le_bytes());
    bytes
}

/// Where in the interface page it is.
pub fn find() -> Option<u64> {
    // SAFETY: the page is mapped, readable, in every environment, and its code does not change.
    let page =
        unsafe { core::slice::from_raw_parts(INTERFACE_PAGE as *const u8, PAGE_SIZE as usize) };
    let beginning = beginning();
    let offset = page
        .windows(beginning.len())
        .position(|bytes| *bytes == beginning)?;
    Some(INTERFACE_PAGE + offset as u64)
}

/// Goes through the code at `begin` so many times, once at least.
pub fn repeat(begin: u64, times: u64) {
    let own = u64::from(environment::id().0);
    // SAFETY: 1. the code clears registers, and goes on behind the last call; 2. the function saves and restores what the System V ABI asks; 3. no
    // program of this runtime uses FS or GS.
    unsafe { go_through(own, begin, times.max(1)) };
}

/// # Safety
/// `begin` is where turns begin.
#[unsafe(naked)]
unsafe extern "C" fn go_through(own: u64, begin: u64, times: u64) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rsi",
        "push rdx",
        // A yield to oneself leaves a frame that leads to the `ret` of the gate, and from there behind this call.
        "mov eax, {yield_call}",
        "mov rcx, {gate_entry}",
        "call [rcx]",
        // The word that `ret` has taken stays where it is, below: no upcall comes onto this stack.
        "dec qword ptr [rsp]",
        "jz 2f",
        "mov rcx, [rsp + 8]",
        "sub rsp, 8",
        "jmp rcx",
        "2:",
        "pop rdx",
        "pop rsi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        yield_call = const Call::EnvironmentYield as u32,
        gate_entry = const INTERFACE_PAGE + offset_of!(InterfacePage, gate_entry) as u64,
    )
}
