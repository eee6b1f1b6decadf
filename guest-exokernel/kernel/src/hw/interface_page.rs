//! Fills the kernel interface page, and finds out which gate works here.

use core::cell::UnsafeCell;
use core::mem::offset_of;

use exo_abi::address::INTERFACE_PAGE;
use exo_abi::bundle::Features;
use exo_abi::interface_page::{Gate, InterfacePage};

use super::registers;

/// The page of tables.S.
#[repr(transparent)]
struct Page(UnsafeCell<[u64; 512]>);

// SAFETY: written at boot by vCPU 0 only, before any environment runs.
unsafe impl Sync for Page {}

/// Two words of an IDT entry.
#[repr(transparent)]
struct Idt(UnsafeCell<[[u16; 8]; 256]>);

// SAFETY: written at boot by vCPU 0 only.
unsafe impl Sync for Idt {}

unsafe extern "C" {
    static interface_page: Page;
    static interface_gate_breakpoint: u8;
    static interface_gate_syscall: u8;
    static interface_probe: u8;
    static interface_turn: u8;
    static interface_turn_status: u8;
    static interface_turn_avx: u8;
    static interface_turn_avx_status: u8;
    static interface_turn_avx512: u8;
    static interface_turn_avx512_status: u8;
    static interface_turn_end: u8;
    static interface_save_avx: u8;
    static interface_save_avx512: u8;
    static interface_load_avx: u8;
    static interface_load_avx512: u8;
    static idt: Idt;
    fn gate_syscall();
    fn probe_by_syscall();
    fn probe_by_fault();
    fn probe_gate(instruction: u64) -> u64;
}

/// Where ring 3 sees a symbol of the interface page.
fn user_address(symbol: *const u8) -> u64 {
    INTERFACE_PAGE + (symbol as u64 - (&raw const interface_page) as u64)
}

/// Writes the page, apart from the gate.
pub fn fill(page: &InterfacePage) {
    // SAFETY: 1. the page is large enough, and the data part ends before its code; 2. nobody reads it yet.
    unsafe {
        (&raw const interface_page)
            .cast_mut()
            .cast::<InterfacePage>()
            .write_volatile(*page)
    };
}

/// Writes the gate, and the address of its code, into a filled page.
pub fn set_gate(gate: Gate) {
    let code = match gate {
        Gate::Breakpoint => &raw const interface_gate_breakpoint,
        Gate::Syscall => &raw const interface_gate_syscall,
    };
    let page = (&raw const interface_page) as usize;
    let number = (page + offset_of!(InterfacePage, gate)) as *mut u32;
    let entry = (page + offset_of!(InterfacePage, gate_entry)) as *mut u64;
    // SAFETY: in the page; nobody reads it yet.
    unsafe { number.write_volatile(gate as u32) };
    // SAFETY: as above.
    unsafe { entry.write_volatile(user_address(code)) };
}

/// Code of ring 3 by which a turn begins.
pub struct TurnCode {
    /// Where the status of the call is 0.
    pub begin: u64,
    /// Where it is in rax.
    pub begin_with_status: u64,
}

/// The code for this machine.
pub fn turn_code(features: u64) -> TurnCode {
    let (begin, with_status) = if features & Features::CLEAR_AVX512 != 0 {
        (
            &raw const interface_turn_avx512,
            &raw const interface_turn_avx512_status,
        )
    } else if features & Features::CLEAR_AVX != 0 {
        (
            &raw const interface_turn_avx,
            &raw const interface_turn_avx_status,
        )
    } else {
        (&raw const interface_turn, &raw const interface_turn_status)
    };
    TurnCode {
        begin: user_address(begin),
        begin_with_status: user_address(with_status),
    }
}

/// Whether a turn that was interrupted at `instruction` has not begun yet: registers may hold what others left there. If so, where to begin
/// it anew, with rax as it is.
pub fn begin_anew(instruction: u64, features: u64) -> Option<u64> {
    let code =
        user_address(&raw const interface_turn_avx512)..user_address(&raw const interface_turn_end);
    let TurnCode {
        begin,
        begin_with_status,
    } = turn_code(features);
    code.contains(&instruction)
        .then_some(match instruction == begin {
            true => begin,
            false => begin_with_status,
        })
}

/// Code of ring 3 for vector registers that the kernel cannot reach.
pub struct VectorCode {
    /// Stores them in the vector page.
    pub store: u64,
    /// Loads them from there.
    pub load: u64,
}

/// The code for this machine; `None`: the kernel reaches all.
pub fn vector_code(features: u64) -> Option<VectorCode> {
    if features & Features::CLEAR_AVX512 != 0 {
        Some(VectorCode {
            store: user_address(&raw const interface_save_avx512),
            load: user_address(&raw const interface_load_avx512),
        })
    } else if features & Features::CLEAR_AVX != 0 {
        Some(VectorCode {
            store: user_address(&raw const interface_save_avx),
            load: user_address(&raw const interface_load_avx),
        })
    } else {
        None
    }
}

/// Address of the kernel's `syscall` entry.
pub fn syscall_entry() -> u64 {
    gate_syscall as *const () as u64
}

/// Lets ring 3 execute one `syscall`, in the current address space, and sees where it arrives: on hardware in ring 0; on a host that
/// emulates ring 0, as a page fault at the entry. RSP0 must be set.
pub fn probe() -> Gate {
    const PAGE_FAULT: usize = 14;
    // SAFETY: entry 14 of the IDT, of which the first word is the low part of the stub's address; all stubs share the rest.
    let offset = unsafe {
        (&raw const idt)
            .cast_mut()
            .cast::<u16>()
            .add(PAGE_FAULT * 8)
    };
    // SAFETY: as above.
    let stub = unsafe { offset.read_volatile() };
    // SAFETY: as above; no page fault can come but that of the probe.
    unsafe { offset.write_volatile(probe_by_fault as *const () as u64 as u16) };
    registers::set_syscall_entry(probe_by_syscall as *const () as u64);
    // SAFETY: 1. ring 3 executes one instruction of the interface page; 2. both ways back restore stack and registers.
    let gate = unsafe { probe_gate(user_address(&raw const interface_probe)) };
    registers::set_syscall_entry(syscall_entry());
    // SAFETY: as above.
    unsafe { offset.write_volatile(stub) };
    if gate == 1 {
        Gate::Syscall
    } else {
        Gate::Breakpoint
    }
}
