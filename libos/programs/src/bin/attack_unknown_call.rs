//! Enters the gate with numbers that are no call, and executes `syscall` by itself.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::expect_fault;
use exo_programs::victim::Victim;
use exo_rt::abi::call::{CALL_BASE, CALL_COUNT};
use exo_rt::abi::interface_page::Gate;
use exo_rt::abi::upcall::Vector;
use exo_rt::fault::catch_fault;
use exo_rt::{gate, probe, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let vector = match tables::gate() {
        Some(Gate::Breakpoint) => Vector::Breakpoint,
        _ => Vector::Syscall,
    };
    let base = u64::from(CALL_BASE);
    let numbers = [
        0,
        1,
        60,
        base - 1,
        base + CALL_COUNT as u64,
        base | 1 << 32,
        base | 1 << 63,
        u64::MAX,
    ];
    for number in numbers {
        let outcome = catch_fault(|| gate::enter(number, [0; 4]));
        expect_fault("the gate", outcome, vector, 0, 0)?;
        expect_fault("syscall", probe::system_call(number), Vector::Syscall, 0, 0)?;
    }
    gate::null();
    Ok(())
}
