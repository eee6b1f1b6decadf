//! The libOS that runs a Linux program: loads it, and serves its system calls.
#![no_std]
#![no_main]

extern crate alloc;

use exo_abi::upcall::Vector;
use exo_linux::dispatcher::Exception;
use exo_linux::options::Options;
use exo_linux::process::Process;
use exo_linux::{calls, dispatcher, fork, idle, message};
use exo_rt::context::{Context, Entered};
use exo_rt::local::Local;
use exo_rt::system_call::Exit;
use exo_rt::upcall::{Action, Fault};
use exo_rt::{context, environment, events, family, system_call, upcall};

exo_rt::program!(main, family, member_main);

static PROCESS: Local<Option<Process>> = Local::new(None);
/// The exception for which the program is interrupted.
static EXCEPTION: Local<Option<Exception>> = Local::new(None);

/// Bytes of a `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;
/// Status where the program could not be started: as a shell reports a file that it cannot execute.
const NOT_EXECUTABLE: u64 = 126;

fn main() -> u64 {
    if environment::arguments().next().as_deref() == Some("--calls") {
        list_calls();
        return 0;
    }
    let (entry, stack) = match prepare() {
        Ok(start) => start,
        Err(reason) => {
            message!("linux: the program cannot be started: {reason}");
            return NOT_EXECUTABLE;
        }
    };
    install_handlers();
    system_call::start(&Context::new(entry, stack))
}

/// Has this environment serve a program.
fn install_handlers() {
    upcall::set_handler(handle_exception);
    system_call::set_handler(handle_call);
    system_call::set_interruption_handler(handle_interruption);
    context::probe();
    // Without them the program runs on while something happens, until its next call.
    let _ = events::install(|| {});
}

/// Prints the calls that are implemented, for `exo linux calls`.
fn list_calls() {
    exo_rt::println!("number  arguments  name");
    for call in (0..calls::LAST).filter_map(calls::find) {
        let (number, arguments, name) = (call.number, call.arguments, call.name);
        exo_rt::println!("{number:>6}  {arguments:>9}  {name}");
    }
}

/// Loads the program; its first instruction and its stack.
fn prepare() -> Result<(u64, u64), &'static str> {
    let options = Options::parse(environment::arguments())?;
    let mut process = Process::new(options)
        .map_err(|_| "its root file system cannot be read; check it on the host (e2fsck)")?;
    process.enter_working_directory()?;
    let start = process.start()?;
    open_console(&mut process);
    PROCESS.with(|slot| *slot = Some(process));
    Ok(start)
}

/// Standard input, output and error.
fn open_console(process: &mut Process) {
    let files = process.family.outside.standard_files(&process.tree);
    for (number, file) in (0..).zip(files) {
        // The table is empty, so there is room.
        let _ = process.descriptors.put(number, file, false);
    }
}

/// Lends the process to `user`, under the family's lock. A process that has ended by then makes no further step.
fn with_process<R>(user: impl FnOnce(&mut Process) -> R) -> Option<R> {
    family::with_lock(|| {
        let lent = PROCESS.with(|slot| {
            let process = slot.as_mut()?;
            let result = user(process);
            let ended = process
                .ended
                .and_then(|ending| Some((slot.take()?, ending)));
            Some((result, ended))
        });
        let (result, ended) = lent.flatten()?;
        if let Some((process, ending)) = ended {
            let seat = process.member.seat;
            process.finish(ending);
            become_next(seat);
        }
        Some(result)
    })
}

/// A system call, however it came.
fn handle_call(call: &mut Fault) -> Exit {
    with_process(|process| dispatcher::handle_call(process, call))
        .expect("a system call within a system call")
}

/// An exception of the program: a system call that traps, a page that is to be mapped, or its end.
fn handle_exception(fault: &mut Fault) -> Action {
    if system_call::is_system_call(fault) {
        // `syscall` has put the address behind it there.
        let return_address = fault.rcx;
        system_call::redirect(fault);
        with_process(|process| {
            process.statistics.traps += 1;
            process.add_trapped(return_address - SYSCALL_BYTES);
        });
        return Action::Resume;
    }
    if !system_call::is_program(fault.rip) {
        return Action::Unhandled;
    }
    let is_page_fault = fault.vector == Vector::PageFault as u64;
    let (write, fetch) = (fault.error_code & 2 != 0, fault.error_code & 16 != 0);
    let handled = with_process(|process| {
        if is_page_fault && process.memory.handle_fault(fault.address, write, fetch) {
            return;
        }
        let exception = Exception::new(process, fault);
        EXCEPTION.with(|slot| *slot = Some(exception));
        system_call::interrupt(&mut fault.rip, &mut fault.rflags);
    });
    match handled {
        Some(()) => Action::Resume,
        None => Action::Unhandled,
    }
}

/// The program was interrupted between two calls, or at the end of one.
fn handle_interruption(fault: &mut Fault, entered: Entered) {
    let exception = EXCEPTION.with(Option::take).flatten();
    if exception.is_none() {
        events::set_credit();
    }
    with_process(|process| dispatcher::handle_interruption(process, fault, entered, exception))
        .expect("an interruption within a system call");
}

/// What a process that was forked begins with, at a seat of the family.
fn member_main(seat: usize) -> ! {
    install_handlers();
    family::acquire();
    become_next(seat)
}

/// Waits until a process is handed over to a seat, and runs it. The caller holds the family's lock, and gives up its stack.
fn become_next(seat: usize) -> ! {
    let process = loop {
        let events = environment::events();
        match fork::receive(seat) {
            Some(process) => break process,
            None => idle::wait(seat, None, events),
        }
    };
    let mut context = Context::clone(&process.threads.current.context);
    PROCESS.with(|slot| *slot = Some(process));
    // The dispatcher looks first whether there is anything to do.
    let registers = &mut context.registers;
    system_call::interrupt(&mut registers.rip, &mut registers.rflags);
    family::release();
    system_call::start(&context)
}
