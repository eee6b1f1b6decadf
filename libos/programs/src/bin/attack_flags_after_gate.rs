//! Sets every flag that ring 3 can set, the trap flag too, before gates and exceptions, and looks at the flags behind them.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use core::sync::atomic::{AtomicU64, Ordering};

use exo_programs::Verdict;
use exo_programs::attack::expect_equal;
use exo_programs::victim::Victim;
use exo_rt::abi::interface_page::Gate;
use exo_rt::abi::upcall::Vector;
use exo_rt::abi::{Call, Error};
use exo_rt::flags::{self, Step, TRAP};
use exo_rt::probe::UNDEFINED_INSTRUCTION_SIZE;
use exo_rt::tables;
use exo_rt::upcall::{self, Action, Fault};

exo_rt::program!(main);

/// Interrupts on, and bit 1.
const PLAIN: u64 = 0x202;
const DIRECTION: u64 = 1 << 10;
const NESTED_TASK: u64 = 1 << 14;
const ALIGNMENT_CHECK: u64 = 1 << 18;
const IDENTIFICATION: u64 = 1 << 21;
/// Flags that no instruction between here and there changes, but for the trap flag.
const LASTING: u64 = PLAIN | DIRECTION | NESTED_TASK | ALIGNMENT_CHECK | IDENTIFICATION | 3 << 12;

/// Debug exceptions since the last look.
static TRAPS: AtomicU64 = AtomicU64::new(0);
/// Other upcalls.
static UPCALLS: AtomicU64 = AtomicU64::new(0);
/// Flags in the last frame.
static INTERRUPTED: AtomicU64 = AtomicU64::new(0);
/// All flags that a handler was entered with.
static INSIDE: AtomicU64 = AtomicU64::new(0);

fn handle(fault: &mut Fault) -> Action {
    INSIDE.fetch_or(flags::current() & (LASTING | TRAP), Ordering::Relaxed);
    INTERRUPTED.store(fault.rflags, Ordering::Relaxed);
    fault.rflags &= !TRAP;
    if fault.vector == Vector::Debug as u64 {
        TRAPS.fetch_add(1, Ordering::Relaxed);
    } else {
        UPCALLS.fetch_add(1, Ordering::Relaxed);
    }
    if fault.vector == Vector::InvalidOpcode as u64 {
        fault.rip += UNDEFINED_INSTRUCTION_SIZE;
    }
    Action::Resume
}

fn main() -> Verdict {
    Victim::await_ready();
    upcall::set_handler(handle);
    // Status, and whether it is an upcall.
    let steps = [
        (Step::Gate(Call::Null as u64), 0, 0),
        (
            Step::Gate(Call::PageUnmap as u64),
            Error::BadCount as u64,
            0,
        ),
        (Step::Gate(7), 7, 1),
        (Step::GateInShadow(Call::Null as u64), 0, 0),
        (Step::GateInShadow(7), 7, 1),
        (Step::Breakpoint(Call::Null as u64), 0, 0),
        (Step::Breakpoint(7), 7, 1),
        (Step::Undefined, 0, 1),
    ];
    for (step, status, upcalls) in steps {
        for set in [
            0,
            DIRECTION,
            NESTED_TASK,
            ALIGNMENT_CHECK,
            DIRECTION | NESTED_TASK | ALIGNMENT_CHECK | IDENTIFICATION,
        ] {
            for trap in [0, TRAP] {
                let flags = PLAIN | set | trap;
                execute(step, flags, status, upcalls)
                    .map_err(|found| format!("{step:?} with flags {flags:#x}: {found}"))?;
            }
        }
    }
    expect_equal(
        "flags of handlers",
        INSIDE.load(Ordering::Relaxed) & (LASTING | TRAP),
        PLAIN,
    )
}

fn execute(step: Step, flags: u64, status: u64, upcalls: u64) -> Verdict {
    TRAPS.store(0, Ordering::Relaxed);
    UPCALLS.store(0, Ordering::Relaxed);
    let (found, after) = step.execute(flags);
    // A hypervisor under which `syscall` does not work clears the nested-task flag whenever it is entered.
    let lasting = match tables::gate() {
        Some(Gate::Breakpoint) => LASTING & !NESTED_TASK,
        _ => LASTING,
    };
    expect_equal("flags behind it", after & (lasting | TRAP), flags & lasting)?;
    expect_equal("status", found, status)?;
    let traps = TRAPS.load(Ordering::Relaxed);
    let others = UPCALLS.load(Ordering::Relaxed);
    if traps + others != 0 {
        let interrupted = INTERRUPTED.load(Ordering::Relaxed);
        expect_equal("flags in a frame", interrupted & lasting, flags & lasting)?;
    }
    expect_equal("upcalls", others, upcalls)?;
    // A handler switches the trap flag off. Where SS was loaded before, there may have been an exception already.
    let due = match step {
        Step::GateInShadow(_) if upcalls == 1 => traps.min((flags / TRAP) & 1),
        _ => ((flags / TRAP) & 1) * (1 - upcalls),
    };
    expect_equal("debug exceptions", traps, due)
}
