//! What the host is told of a program that dies of a signal that leaves a core.

use alloc::vec::Vec;

use exo_abi::address::PAGE_SIZE;
use exo_abi::crash::{CRASH_REGIONS_MAX, CRASH_THREADS_MAX, CrashRecord, CrashRegion, CrashThread};
use exo_rt::context::Context;
use linux_raw_sys::general::{
    SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ,
};

use crate::process::Process;
use crate::signal::{Information, bit};
use crate::thread::Thread;

/// Signals that leave a core (signal(7)).
const LEAVES_CORE: u64 = bit(SIGABRT)
    | bit(SIGBUS)
    | bit(SIGFPE)
    | bit(SIGILL)
    | bit(SIGQUIT)
    | bit(SIGSEGV)
    | bit(SIGSYS)
    | bit(SIGTRAP)
    | bit(SIGXCPU)
    | bit(SIGXFSZ);

/// Selectors of 64-bit programs of Linux.
const CODE: u64 = 0x33;
const DATA: u64 = 0x2b;
/// No system call is to be done again.
const NO_CALL: u64 = u64::MAX;

/// The program that a process runs, as debuggers want to know it.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Its path.
    pub path: Vec<u8>,
    /// Its auxiliary vector.
    pub auxiliary: Vec<u64>,
}

/// Tells the host of a signal by which the process ends, if it leaves a core.
pub fn report(process: &Process, information: &Information) {
    if LEAVES_CORE & bit(information.signal) == 0 {
        return;
    }
    let others = process.threads.others.values();
    let threads: Vec<CrashThread> = core::iter::once(&process.threads.current)
        .chain(others)
        .take(CRASH_THREADS_MAX as usize)
        .map(|thread| describe(thread))
        .collect();
    let mut regions: Vec<CrashRegion> = Vec::new();
    for (start, end, rights) in process.memory.runs() {
        match regions.last_mut() {
            Some(last) if last.end == start && last.rights == u64::from(rights.0) => last.end = end,
            _ => regions.push(CrashRegion {
                start,
                end,
                rights: u64::from(rights.0),
            }),
        }
    }
    regions.truncate(CRASH_REGIONS_MAX as usize);
    let Image { path, auxiliary } = &process.image;
    let is_fault = information.is_of_processor();
    let record = CrashRecord {
        process: process.member.number,
        parent: 0,
        signal: information.signal,
        code: information.code.cast_unsigned(),
        address: if is_fault { information.words[0] } else { 0 },
        threads: threads.as_ptr().addr() as u64,
        regions: regions.as_ptr().addr() as u64,
        auxiliary: auxiliary.as_ptr().addr() as u64,
        thread_count: threads.len() as u32,
        region_count: regions.len() as u32,
        auxiliary_bytes: size_of_val(auxiliary.as_slice()) as u32,
        path_bytes: path.len().min(PAGE_SIZE as usize) as u32,
        path: path.as_ptr().addr() as u64,
    };
    exo_rt::crash::report(&record);
}

/// A thread's registers, in the order of Linux.
fn describe(thread: &Thread) -> CrashThread {
    let Context {
        registers: fault,
        thread_base,
        ..
    } = &*thread.context;
    CrashThread {
        number: u64::from(thread.number),
        registers: [
            fault.r15,
            fault.r14,
            fault.r13,
            fault.r12,
            fault.rbp,
            fault.rbx,
            fault.r11,
            fault.r10,
            fault.r9,
            fault.r8,
            fault.rax,
            fault.rcx,
            fault.rdx,
            fault.rsi,
            fault.rdi,
            NO_CALL,
            fault.rip,
            CODE,
            fault.rflags,
            fault.rsp,
            DATA,
            *thread_base,
            0,
            0,
            0,
            0,
            0,
        ],
        floating_point: fault.floating_point,
    }
}
