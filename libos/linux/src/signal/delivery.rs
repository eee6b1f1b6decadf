//! Sending of signals, and what they do to who gets them.

use linux_raw_sys::general::{SIGCONT, SIGKILL, SIGSEGV};

use super::frame;
use super::state::{Action, DEFAULT, IGNORE};
use super::{FIRST_QUEUED, IGNORED, Information, STOPPING, bit};
use crate::errno::{Errno, Result, encode};
use crate::process::Process;
use crate::thread::Thread;
use crate::wait::{Interrupted, Wake};
use crate::{calls, crash};

/// Bytes of a `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;

/// Whether a thread has to look at its signals.
fn is_due(process: &Process, thread: &Thread) -> bool {
    let pending = process.signals.pending.set() | thread.signals.pending.set();
    pending & !thread.signals.mask != 0
}

/// Whether the current thread has a signal to take.
pub fn is_interrupted(process: &Process) -> bool {
    is_due(process, &process.threads.current)
}

/// Whether the current thread is to look at its signals before it goes on, as its mask or what is pending has changed.
pub fn look_again(process: &Process) {
    if is_interrupted(process) {
        process.threads.run_queue.attention.set(true);
    }
}

/// Has the current thread wait with another mask, until the call is over.
pub fn change_mask(process: &mut Process, mask: u64) {
    let signals = &mut process.threads.current.signals;
    if signals.mask_before.is_none() {
        signals.mask_before = Some(signals.mask);
        signals.mask = mask & !super::UNBLOCKABLE;
        process.threads.run_queue.attention.set(true);
    }
}

/// Takes over what other processes have sent.
pub fn take_mail(process: &mut Process) {
    let mail = core::mem::take(&mut *process.member.mail.borrow_mut());
    for letter in mail {
        // What a thread was to get that has ended meanwhile, nobody gets.
        let _ = send(process, letter.thread, letter.information);
    }
}

/// Sends a signal to a process, or to one of its threads. Refused where too many are queued.
pub fn send(process: &mut Process, thread: Option<u32>, information: Information) -> Result<()> {
    let signal = information.signal;
    prepare(process, signal);
    let action = process.signals.action(signal);
    let blocks = |thread: &Thread| thread.signals.mask & bit(signal) != 0;
    let number = match thread {
        Some(number) => number,
        None => choose(process, signal),
    };
    let receiver = process.threads.get_mut(number).ok_or(Errno::ESRCH)?;
    // What is blocked may find another action when it is open again.
    if action.ignores(signal) && !blocks(receiver) {
        return Ok(());
    }
    let pending = match thread {
        Some(_) => &mut receiver.signals.pending,
        None => &mut process.signals.pending,
    };
    if !pending.add(information) {
        return match signal >= FIRST_QUEUED {
            true => Err(Errno::EAGAIN),
            false => Ok(()),
        };
    }
    notify(process, number);
    Ok(())
}

/// Who takes a signal that is sent to the process: the current thread, if it does not block it, or any other.
fn choose(process: &mut Process, signal: u32) -> u32 {
    let threads = &process.threads;
    let takes = |thread: &Thread| !thread.ended && thread.signals.mask & bit(signal) == 0;
    if takes(&threads.current) {
        return threads.current.number;
    }
    let mut others = threads.others.values();
    let chosen = others.find(|thread| takes(thread));
    // Where all block it, one may wait for it by name.
    chosen.map_or(threads.current.number, |thread| thread.number)
}

/// What becomes of others when a signal is sent that stops a process or lets it go on.
fn prepare(process: &mut Process, signal: u32) {
    let dropped = match bit(signal) {
        stopping if stopping & STOPPING != 0 => bit(SIGCONT),
        _ if signal == SIGCONT || signal == SIGKILL => {
            process.signals.stopped = false;
            process.family.go_on(&process.member);
            process.threads.run_queue.attention.set(true);
            STOPPING
        }
        _ => return,
    };
    process.signals.pending.drop_all(dropped);
    process.threads.current.signals.pending.drop_all(dropped);
    for thread in process.threads.others.values_mut() {
        thread.signals.pending.drop_all(dropped);
    }
}

/// Has a thread look at its signals: now, if it waits. All look that wait for signals by name.
fn notify(process: &mut Process, number: u32) {
    process.threads.run_queue.attention.set(true);
    if let Some(thread) = process.threads.get_mut(number) {
        thread.waiter.wake(Wake::Nothing);
    }
    process.threads.signal_queue.wake_all();
}

/// Sends a signal that the current thread has caused, and that it cannot put off: one that is blocked or ignored ends the process.
pub fn force(process: &mut Process, information: Information) {
    let signal = information.signal;
    let action = process.signals.action(signal);
    let signals = &mut process.threads.current.signals;
    if action.handler == IGNORE || signals.mask & bit(signal) != 0 {
        process.signals.set_action(signal, Action::default());
    }
    signals.mask &= !bit(signal);
    signals.pending.add(information);
    process.threads.run_queue.attention.set(true);
}

/// Lets the current thread take its signals, until it can go on.
pub fn deliver(process: &mut Process) {
    while process.ended.is_none() && !process.signals.stopped && process.threads.current.can_run() {
        let open = !process.threads.current.signals.mask;
        let own = &mut process.threads.current.signals.pending;
        let Some(information) = own
            .take(open)
            .or_else(|| process.signals.pending.take(open))
        else {
            return;
        };
        let signal = information.signal;
        let action = process.signals.action(signal);
        if action.is_handled() {
            handle(process, &information, action);
        } else if action.handler == DEFAULT && IGNORED & bit(signal) == 0 {
            if STOPPING & bit(signal) == 0 {
                crash::report(process, &information);
                calls::kill_process(process, signal);
                return;
            }
            process.signals.stopped = true;
            process.family.stop(&process.member, signal as u8);
        }
    }
}

/// Has the current thread run a handler.
fn handle(process: &mut Process, information: &Information, action: Action) {
    let signal = information.signal;
    interrupt_call(process, &action);
    if action.is_reset() {
        let reset = Action {
            handler: DEFAULT,
            ..action
        };
        process.signals.set_action(signal, reset);
    }
    if frame::enter(process, information, &action).is_err() {
        // There is no stack to handle it on. Where that was for this very signal, nothing is left to try.
        if signal == SIGSEGV {
            process.signals.set_action(signal, Action::default());
        }
        force(process, Information::kernel(SIGSEGV));
        return;
    }
    let signals = &mut process.threads.current.signals;
    signals.mask_before = None;
    signals.mask |= action.mask;
    if !action.nests() {
        signals.mask |= bit(signal);
    }
    signals.mask &= !super::UNBLOCKABLE;
}

/// Gives the call that a handler interrupts its value, or has it made again behind the handler.
fn interrupt_call(process: &mut Process, action: &Action) {
    let thread = &mut process.threads.current;
    let Some(interrupted) = thread.signals.interrupted.take() else {
        return;
    };
    thread.calls = false;
    thread.waited = None;
    let registers = &mut thread.context.registers;
    match interrupted {
        Interrupted::Give(value) => registers.rax = value,
        Interrupted::Restart if action.restarts() => {
            let behind = registers.rip;
            let program = process.program.as_ref();
            registers.rip = program
                .and_then(|program| program.instruction_before(behind))
                .unwrap_or(behind - SYSCALL_BYTES);
        }
        Interrupted::Restart | Interrupted::Fail => registers.rax = encode(Err(Errno::EINTR)),
    }
}
