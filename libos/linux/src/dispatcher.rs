//! The dispatcher: who runs, and what becomes of calls that wait.
//!
//! The personality has one stack in an environment, and keeps nothing on it between two entries: a thread that waits is its registers and
//! what it waits for. So a call is done in one piece or not at all, and again from its start when the wait is over.

use exo_rt::context::Entered;
use exo_rt::environment;
use exo_rt::system_call::Exit;
use exo_rt::upcall::Fault;

use crate::calls::{self, Arguments};
use crate::errno::{self, encode};
use crate::idle;
use crate::process::Process;
use crate::wait::{Result, Stop, Wait};

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
                if !process.threads.run_queue.attention.get() && !process.family.outside.has_news()
                {
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
    process.threads.current.context.load(fault);
    Exit::Whole
}

/// Lets the current thread wait, or end.
fn settle(process: &mut Process, pending: Pending) {
    match pending {
        Pending::Waits(wait) => process.threads.park(wait),
        Pending::Ended => {
            process.threads.current.calls = false;
            process.threads.current.ended = true;
        }
    }
}

/// Lets threads have their turns until the current one is to go on in the program.
fn run(process: &mut Process) {
    process.threads.run_queue.attention.set(false);
    while process.ended.is_none() {
        // What comes after this was read ends the sleep below.
        let events = environment::events();
        process.look_outside();
        process.threads.expire(calls::now);
        process.threads.end_turn();
        if !process.threads.current.can_run() && !process.threads.switch() {
            idle::sleep(process.member.seat, process.threads.next_deadline(), events);
            continue;
        }
        if process.threads.current.calls && !repeat(process) {
            continue;
        }
        return;
    }
}

/// Does the call of the current thread again, from its start; whether it is done now.
fn repeat(process: &mut Process) -> bool {
    let registers = &process.threads.current.context.registers;
    let (number, arguments) = (registers.rax, arguments(registers));
    let result = calls::execute(process, calls::find(number), number, arguments);
    let thread = &mut process.threads.current;
    thread.waited = None;
    match value(result) {
        Ok(value) => {
            thread.calls = false;
            thread.context.registers.rax = value;
            true
        }
        Err(pending) => {
            settle(process, pending);
            false
        }
    }
}
