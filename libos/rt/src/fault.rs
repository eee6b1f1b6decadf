//! Recovery from one exception: run something, and get the record of the fault instead of the fault.
#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::fmt;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use exo_abi::upcall::Vector;

use crate::upcall::Fault;

/// What an exception was, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// Which exception.
    pub vector: u64,
    /// Its error code, or 0.
    pub error_code: u64,
    /// Faulting address of a page fault, or 0.
    pub address: u64,
    /// Instruction.
    pub instruction: u64,
    /// Stack pointer.
    pub stack: u64,
}

impl FaultRecord {
    /// Takes it out of the saved state.
    pub fn new(fault: &Fault) -> Self {
        Self {
            vector: fault.vector,
            error_code: fault.error_code,
            address: fault.address,
            instruction: fault.rip,
            stack: fault.rsp,
        }
    }
}

impl fmt::Display for FaultRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Vector::from_number(self.vector).map_or("unknown exception", Vector::name);
        write!(
            formatter,
            "{name} (vector {}), error code {:#x}, address {:#x}, instruction {:#x}, stack {:#x}",
            self.vector, self.error_code, self.address, self.instruction, self.stack
        )
    }
}

/// Where a fault goes on while [`catch_fault`] runs.
#[repr(C)]
struct Recovery {
    stack: u64,
    instruction: u64,
    record: Option<FaultRecord>,
}

static RECOVERY: AtomicPtr<Recovery> = AtomicPtr::new(null_mut());

/// Runs `action`; a fault in it ends it there, and is the error. What `action` owns by then is leaked.
pub fn catch_fault<T>(action: impl FnOnce() -> T) -> Result<T, FaultRecord> {
    struct Run<F, T> {
        action: Option<F>,
        value: Option<T>,
    }
    extern "C" fn trampoline<F: FnOnce() -> T, T>(run: *mut u8) {
        // SAFETY: `catch_fault` below passes its own `Run` of this very type, and touches it only when this has ended.
        let run = unsafe { &mut *run.cast::<Run<F, T>>() };
        if let Some(action) = run.action.take() {
            run.value = Some(action());
        }
    }
    fn trampoline_of<F: FnOnce() -> T, T>(_: &Run<F, T>) -> extern "C" fn(*mut u8) {
        trampoline::<F, T>
    }

    let mut run = Run {
        action: Some(action),
        value: None,
    };
    let mut recovery = Recovery {
        stack: 0,
        instruction: 0,
        record: None,
    };
    let outer = RECOVERY.load(Ordering::Relaxed);
    let function = trampoline_of(&run);
    // SAFETY: 1. `function` takes this `run`; 2. both live until the call returns, which it does once, by either way.
    unsafe { guarded(function, (&raw mut run).cast(), &raw mut recovery) };
    RECOVERY.store(outer, Ordering::Relaxed);
    // SAFETY: `recovery` is alive; volatile, because the upcall handler wrote it behind the compiler's back.
    match unsafe { (&raw const recovery.record).read_volatile() } {
        Some(record) => Err(record),
        None => Ok(run.value.expect("the action ended without a fault")),
    }
}

/// Called by the upcall handler: sends a fault to where [`catch_fault`] waits for it, if it does.
pub(crate) fn recover(fault: &mut Fault) -> bool {
    let recovery = RECOVERY.swap(null_mut(), Ordering::Relaxed);
    if recovery.is_null() {
        return false;
    }
    // SAFETY: `guarded` set it to a `Recovery` that lives until `guarded` returns, which has not happened.
    let recovery = unsafe { &mut *recovery };
    recovery.record = Some(FaultRecord::new(fault));
    fault.rip = recovery.instruction;
    fault.rsp = recovery.stack;
    fault.rflags = FLAGS_AT_ENTRY;
    true
}

/// Flags as the System V ABI wants them: interrupts on, direction clear, no traps.
const FLAGS_AT_ENTRY: u64 = 0x202;

/// Calls `function(argument)` with `recovery` armed; a fault comes back here too.
///
/// # Safety
/// `function` may be called with `argument`; `recovery` is valid until this returns.
#[unsafe(naked)]
unsafe extern "C" fn guarded(
    function: extern "C" fn(*mut u8),
    argument: *mut u8,
    recovery: *mut Recovery,
) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",                   // 16-byte aligned for the call
        "mov [rdx + {stack}], rsp",
        "lea rax, [rip + 2f]",
        "mov [rdx + {instruction}], rax",
        "mov [rip + {armed}], rdx",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "2:",                           // by return or by recovery, with the same rsp
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        stack = const core::mem::offset_of!(Recovery, stack),
        instruction = const core::mem::offset_of!(Recovery, instruction),
        armed = sym RECOVERY,
    )
}
