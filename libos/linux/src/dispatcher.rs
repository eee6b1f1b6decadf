//! The dispatcher: who runs, and what becomes of calls that wait.
//!
//! The personality has one stack in an environment, and keeps nothing on it between two entries: a thread that waits is its registers and
//! what it waits for. So a call is done in one piece or not at all, and again from its start when the wait is over.

use exo_rt::context::Entered;
use exo_rt::system_call::{self, Exit};
use exo_rt::upcall::Fault;
use exo_rt::{environment, family};

use crate::calls::{self, Arguments};
use crate::errno::{self, encode};
use crate::idle;
use crate::process::Process;
use crate::signal::{Information, delivery, timers, trouble};
use crate::wait::{Result, Stop, Wait, Waited, Wake};

/// Nanoseconds for which a thread runs while others wait for their turns.
const TURN: u64 = 10_000_000;

/// Why a call has no value for its program.
enum Pending {
    Waits(Wait),
    Ended,
}

fn arguments(registers: &Fault) -> Arguments {
    let Fault {
        rdi,
        rsi,
        rdx,
        r10,
        r8,
        r9,
        ..
    } = *registers;
    [rdi, rsi, rdx, r10, r8, r9]
}

/// The value of a call for its program, if it has one.
fn value(result: Result) -> core::result::Result<u64, Pending> {
    match result {
        Ok(value) => Ok(value),
        Err(Stop::Error(error)) => Ok(encode(errno::Result::Err(error))),
        Err(Stop::Wait(wait)) => Err(Pending::Waits(wait)),
        Err(Stop::End) => Err(Pending::Ended),
    }
}

/// A call of the program. One that is done at once, as most are, saves and restores nothing.
pub fn handle_call(process: &mut Process, fault: &mut Fault) -> Exit {
    process.statistics.calls += 1;
    let call = calls::find(fault.rax);
    if call.is_some_and(|call| call.wants_context) {
        process.threads.current.calls = true;
        process.threads.current.context.save(fault, Entered::Call);
    } else {
        match value(calls::execute(process, call, fault.rax, arguments(fault))) {
            Ok(value) => {
                fault.rax = value;
                if !has_news(process) {
                    return Exit::Call;
                }
                process.threads.current.context.save(fault, Entered::Call);
            }
            Err(pending) => {
                process.threads.current.context.save(fault, Entered::Call);
                settle(process, pending);
            }
        }
    }
    run(process);
    process.go_on();
    process.threads.current.context.load(fault);
    Exit::Whole
}

/// Whether something has happened that the thread has to look at before it goes on.
fn has_news(process: &Process) -> bool {
    process.threads.run_queue.attention.get() || process.family.outside.has_news()
}

/// An exception that is the program's own affair.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    information: Information,
    /// Vector, error code, address.
    record: [u64; 3],
}

impl Exception {
    /// What has happened to a process.
    pub fn new(process: &Process, fault: &Fault) -> Self {
        Self {
            information: trouble::signal(fault, &process.memory),
            record: [fault.vector, fault.error_code, fault.address],
        }
    }
}

/// Something has interrupted the program between two calls, or at the end of one: an exception that is its own affair, or the end of a turn.
pub fn handle_interruption(
    process: &mut Process,
    fault: &mut Fault,
    entered: Entered,
    exception: Option<Exception>,
) {
    process.threads.current.context.save(fault, entered);
    if let Some(exception) = exception {
        process.threads.current.signals.exception = exception.record;
        delivery::force(process, exception.information);
    } else {
        handle_event(process);
    }
    run(process);
    process.go_on();
    process.threads.current.context.load(fault);
}

/// An event has come: the timer's, or another. The turn of the current thread is over.
fn handle_event(process: &mut Process) {
    process.threads.armed = None;
    process.threads.give_turn();
}

/// Lets the current thread wait, or end.
fn settle(process: &mut Process, pending: Pending) {
    match pending {
        // It does not wait while there is a signal to take.
        Pending::Waits(wait) if delivery::is_interrupted(process) => {
            let thread = &mut process.threads.current;
            thread.calls = true;
            thread.signals.interrupted = Some(wait.interrupted);
            thread.waited = Some(Waited {
                deadline: wait.deadline,
                moved: wait.moved,
                wake: Wake::Nothing,
            });
        }
        Pending::Waits(wait) => process.threads.park(wait),
        Pending::Ended => {
            process.threads.current.calls = false;
            process.threads.current.ended = true;
        }
    }
}

/// Lets threads have their turns until the current one is to go on in the program.
fn run(process: &mut Process) {
    while process.ended.is_none() {
        // What comes after this was read ends the sleep below.
        let events = environment::events();
        if system_call::take_notice() {
            handle_event(process);
        }
        family::look(process.member.seat);
        process.threads.run_queue.attention.set(false);
        process.look_outside();
        delivery::take_mail(process);
        process.threads.expire(calls::now);
        timers::expire(process);
        process.threads.end_turn();
        if process.signals.stopped
            || !process.threads.current.can_run() && !process.threads.switch()
        {
            let moments = [process.threads.next_deadline(), process.timers.next()];
            let next = moments.into_iter().flatten().min();
            idle::wait(process.member.seat, next, events);
            process.usage.look();
            if environment::events() != events {
                // Told by then, or it comes again.
                process.threads.armed = None;
            }
            continue;
        }
        if process.threads.current.calls {
            repeat(process);
        }
        if process.threads.current.signals.interrupted.is_none()
            && process.threads.current.can_run()
            && let Some(mask) = process.threads.current.signals.mask_before.take()
        {
            process.threads.current.signals.mask = mask;
        }
        delivery::deliver(process);
        process.threads.current.signals.interrupted = None;
        let thread = &process.threads.current;
        if thread.can_run() && !thread.calls && !process.signals.stopped {
            set_timer(process);
            return;
        }
    }
}

/// Has an event come while the program runs: at the next deadline of a thread or expiration of a timer, and at the end of the turn where another
/// thread waits for its own.
fn set_timer(process: &mut Process) {
    let threads = &process.threads;
    let moments = [threads.next_deadline(), process.timers.next()];
    let armed = threads.armed.unwrap_or(u64::MAX);
    let mut next = moments.into_iter().flatten().min().unwrap_or(u64::MAX);
    if !threads.run_queue.is_empty() {
        next = next.min(calls::now() + TURN);
    }
    // One that is set comes in any case; too early does no harm.
    if next < armed {
        idle::set_event(next);
        process.threads.armed = Some(next);
    }
}

/// Does the call of the current thread again, from its start.
fn repeat(process: &mut Process) {
    let registers = &process.threads.current.context.registers;
    let (number, arguments) = (registers.rax, arguments(registers));
    let result = calls::execute(process, calls::find(number), number, arguments);
    let thread = &mut process.threads.current;
    thread.waited = None;
    match value(result) {
        Ok(value) => {
            thread.calls = false;
            thread.context.registers.rax = value;
        }
        Err(pending) => settle(process, pending),
    }
}
