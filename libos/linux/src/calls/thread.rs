//! Threads: their beginning, their end, their numbers.

use alloc::boxed::Box;

use linux_raw_sys::general::{
    CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID, CLONE_PARENT_SETTID, CLONE_SETTLS, CLONE_SIGHAND,
    CLONE_THREAD, CLONE_VFORK, CLONE_VM,
};
use linux_raw_sys::prctl::{
    PR_GET_DUMPABLE, PR_GET_NAME, PR_GET_NO_NEW_PRIVS, PR_SET_DUMPABLE, PR_SET_NAME,
    PR_SET_NO_NEW_PRIVS,
};

use super::{Arguments, child, futex, process, program};
use crate::errno::{Errno, Result};
use crate::family::Ending;
use crate::fork;
use crate::process::Process;
use crate::thread::Thread;
use crate::wait::{self, Stop};

/// Bytes of the first version of `struct clone_args`.
const ARGUMENTS_BYTES: u64 = 64;
/// Bytes that are accepted at most, as under Linux.
const ARGUMENTS_BYTES_MAX: u64 = 4096;

/// What a new thread or process is to have.
struct Wanted {
    flags: u64,
    /// The signal that a process's maker gets when it ends.
    signal: u64,
    /// Its stack pointer; 0: that of its maker.
    stack: u64,
    /// Where its number is written for its maker.
    number_for_parent: u64,
    /// Where its number is written, or cleared when it ends, in its own memory.
    number_for_child: u64,
    /// Its base of FS.
    storage: u64,
}

pub fn clone(
    process: &mut Process,
    [
        flags,
        stack,
        number_for_parent,
        number_for_child,
        storage,
        _,
    ]: Arguments,
) -> wait::Result {
    const SIGNAL: u64 = 0xff;
    let wanted = Wanted {
        flags: flags & !SIGNAL,
        signal: flags & SIGNAL,
        stack,
        number_for_parent,
        number_for_child,
        storage,
    };
    start(process, &wanted)
}

pub fn clone_by_structure(process: &mut Process, [address, bytes, ..]: Arguments) -> wait::Result {
    if bytes < ARGUMENTS_BYTES {
        return Err(Errno::EINVAL.into());
    }
    if bytes > ARGUMENTS_BYTES_MAX {
        return Err(Errno::E2BIG.into());
    }
    let [
        flags,
        _process_descriptor,
        number_for_child,
        number_for_parent,
        signal,
        stack,
        stack_bytes,
        storage,
    ] = program::read_words(process, address)?;
    if (stack == 0) != (stack_bytes == 0) {
        return Err(Errno::EINVAL.into());
    }
    let wanted = Wanted {
        flags,
        signal,
        stack: stack.wrapping_add(stack_bytes),
        number_for_parent,
        number_for_child,
        storage,
    };
    start(process, &wanted)
}

/// Starts a process like the current one. One that would share its memory for good, and is no thread, there is not.
fn start_process(process: &mut Process, wanted: &Wanted) -> wait::Result {
    let has = |flag: u32| wanted.flags & u64::from(flag) != 0;
    let if_has = |flag, address| if has(flag) { address } else { 0 };
    if has(CLONE_VM) && !has(CLONE_VFORK) {
        return Err(Errno::ENOSYS.into());
    }
    let forked = fork::Wanted {
        end_signal: wanted.signal as u8,
        stack: wanted.stack,
        storage: has(CLONE_SETTLS).then_some(wanted.storage),
        number_address: if_has(CLONE_CHILD_SETTID, wanted.number_for_child),
        clear_address: if_has(CLONE_CHILD_CLEARTID, wanted.number_for_child),
    };
    if has(CLONE_VFORK) {
        return child::fork_and_wait(process, &forked);
    }
    let number = process.fork(&forked)?.number;
    if has(CLONE_PARENT_SETTID) {
        program::write(process, wanted.number_for_parent, &number.to_le_bytes())?;
    }
    Ok(u64::from(number))
}

/// Starts a thread or a process like the current one.
fn start(process: &mut Process, wanted: &Wanted) -> wait::Result {
    let has = |flag: u32| wanted.flags & u64::from(flag) != 0;
    if !has(CLONE_THREAD) {
        return start_process(process, wanted);
    }
    Ok(start_thread(process, wanted)?)
}

/// Starts a thread like the current one.
fn start_thread(process: &mut Process, wanted: &Wanted) -> Result {
    let has = |flag: u32| wanted.flags & u64::from(flag) != 0;
    if !has(CLONE_VM) || !has(CLONE_SIGHAND) {
        return Err(Errno::EINVAL);
    }
    let number = process.family.take_number();
    let mut context = Box::clone(&process.threads.current.context);
    context.registers.rax = 0;
    if wanted.stack != 0 {
        context.registers.rsp = wanted.stack;
    }
    if has(CLONE_SETTLS) {
        context.thread_base = wanted.storage;
    }
    for (flag, address) in [
        (CLONE_PARENT_SETTID, wanted.number_for_parent),
        (CLONE_CHILD_SETTID, wanted.number_for_child),
    ] {
        if has(flag) {
            program::write(process, address, &number.to_le_bytes())?;
        }
    }
    let mut thread = Thread::new(number, context, &process.threads.run_queue);
    thread.signals.mask = process.threads.current.signals.mask;
    if has(CLONE_CHILD_CLEARTID) {
        thread.clear_at_end = wanted.number_for_child;
    }
    process.threads.add(thread);
    Ok(u64::from(number))
}

/// Ends the current thread, and with the last one the process.
pub fn exit(process: &mut Process, [status, ..]: Arguments) -> wait::Result {
    futex::end_thread(process);
    let threads = &mut process.threads;
    if threads.is_first() {
        threads.status = status & 0xff;
    }
    if threads.others.is_empty() {
        let status = threads.status as u8;
        return Err(process::end(process, Ending::Exited(status)));
    }
    Err(Stop::End)
}

pub fn set_end_address(process: &mut Process, [address, ..]: Arguments) -> Result {
    process.threads.current.clear_at_end = address;
    number(process, [0; 6])
}

pub fn number(process: &mut Process, _: Arguments) -> Result {
    Ok(u64::from(process.threads.current.number))
}

/// Bytes of a thread's name, with its zero.
const NAME_BYTES: usize = 16;

/// What `prctl` can say and set: the name, and what has one value here.
pub fn control(process: &mut Process, [option, argument, ..]: Arguments) -> Result {
    match option as u32 {
        PR_SET_NAME => {
            let text = program::read_string(process, argument)?;
            let mut name = [0; NAME_BYTES];
            for (place, byte) in name.iter_mut().take(NAME_BYTES - 1).zip(text) {
                *place = byte;
            }
            process.threads.current.name = name;
            Ok(0)
        }
        PR_GET_NAME => {
            let name = process.threads.current.name;
            program::write(process, argument, &name)?;
            Ok(0)
        }
        PR_GET_DUMPABLE => Ok(1),
        PR_SET_DUMPABLE | PR_SET_NO_NEW_PRIVS if argument <= 1 => Ok(0),
        PR_GET_NO_NEW_PRIVS => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}
