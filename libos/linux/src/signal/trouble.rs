//! Exceptions of the processor as signals (Intel SDM volume 3, section 6.15; linux, arch/x86/kernel/traps.c).

use exo_abi::upcall::Vector;
use exo_rt::upcall::Fault;
use linux_raw_sys::general::{
    BUS_ADRALN, BUS_ADRERR, FPE_FLTDIV, FPE_FLTINV, FPE_FLTOVF, FPE_FLTRES, FPE_FLTUND, FPE_INTDIV,
    ILL_ILLOPN, SEGV_ACCERR, SEGV_MAPERR, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP, TRAP_TRACE,
};

use super::Information;
use crate::memory::Memory;
use crate::memory::fault::needed_by;

/// The signal of an exception of a process with this memory.
pub fn signal(fault: &Fault, memory: &Memory) -> Information {
    let here = fault.rip;
    match Vector::from_number(fault.vector) {
        Some(Vector::DivideError) => Information::fault(SIGFPE, FPE_INTDIV, here),
        Some(Vector::Debug) => Information::fault(SIGTRAP, TRAP_TRACE, here),
        Some(Vector::Breakpoint) => Information::kernel(SIGTRAP),
        Some(Vector::InvalidOpcode) => Information::fault(SIGILL, ILL_ILLOPN, here),
        Some(Vector::PageFault) => {
            let address = fault.address;
            if memory.is_beyond_file(address, needed_by(fault.error_code)) {
                return Information::fault(SIGBUS, BUS_ADRERR, address);
            }
            let code = match memory.knows(address) {
                true => SEGV_ACCERR,
                false => SEGV_MAPERR,
            };
            Information::fault(SIGSEGV, code, address)
        }
        Some(Vector::FloatingPoint) => Information::fault(SIGFPE, x87_code(fault), here),
        Some(Vector::SimdFloatingPoint) => Information::fault(SIGFPE, simd_code(fault), here),
        Some(Vector::AlignmentCheck) => Information::fault(SIGBUS, BUS_ADRALN, 0),
        Some(Vector::SegmentNotPresent | Vector::StackFault) => Information::kernel(SIGBUS),
        _ => Information::kernel(SIGSEGV),
    }
}

fn half_word(fault: &Fault, place: usize) -> u32 {
    let bytes = fault.floating_point.get(place..place + 2);
    bytes.map_or(0, |bytes| {
        bytes
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u32::from(byte))
    })
}

/// Control word at 0, status word at 2: bits 0 to 5 of both are the exceptions.
fn x87_code(fault: &Fault) -> u32 {
    code(half_word(fault, 2) & !half_word(fault, 0))
}

/// MXCSR at 24: exceptions in bits 0 to 5, their masks in bits 7 to 12.
fn simd_code(fault: &Fault) -> u32 {
    let status = half_word(fault, 24);
    code(status & !(status >> 7))
}

/// The reason by the exceptions that are not masked, in the order in which Linux looks.
fn code(exceptions: u32) -> u32 {
    match exceptions {
        bits if bits & 1 != 0 => FPE_FLTINV,
        bits if bits & 4 != 0 => FPE_FLTDIV,
        bits if bits & 8 != 0 => FPE_FLTOVF,
        bits if bits & 0x12 != 0 => FPE_FLTUND,
        bits if bits & 0x20 != 0 => FPE_FLTRES,
        _ => 0,
    }
}
