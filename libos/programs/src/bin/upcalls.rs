//! Takes upcalls and checks that they leave nothing changed: registers, flags, red zone, SSE state; also one inside another.
#![no_std]
#![no_main]

extern crate alloc;

use core::sync::atomic::{AtomicU64, Ordering};

use exo_programs::Verdict;
use exo_programs::attack::{NOT_PRESENT_READ, PLAYGROUND, expect_equal, expect_page_fault};
use exo_rt::snapshot::Snapshot;
use exo_rt::upcall::{Action, Fault};
use exo_rt::{environment, println, probe, upcall};

exo_rt::program!(main);

const ROUNDS: u64 = 100;

/// Upcalls in which the handler took a fault of its own.
static NESTED: AtomicU64 = AtomicU64::new(0);

fn main() -> Verdict {
    upcall::set_handler(|fault| {
        fault.rip += probe::UNDEFINED_INSTRUCTION_SIZE;
        Action::Resume
    });
    survive(1)?;
    upcall::set_handler(fault_inside);
    survive(1000)?;
    expect_equal(
        "handlers that faulted",
        NESTED.load(Ordering::Relaxed),
        ROUNDS,
    )?;
    // Each round is an upcall; each of the second half has another inside.
    expect_equal(
        "upcalls",
        u64::from(environment::upcalls_taken()),
        3 * ROUNDS,
    )?;
    println!(
        "upcalls: {} left everything as it was",
        environment::upcalls_taken()
    );
    Ok(())
}

fn survive(seed: u64) -> Verdict {
    for round in 0..ROUNDS {
        let before = Snapshot::from_seed(seed + round);
        expect_equal(
            "the state after an upcall",
            before.across_undefined_instruction(),
            before,
        )?;
    }
    Ok(())
}

/// Faults, recovers, and computes with floating point, before it goes on.
fn fault_inside(fault: &mut Fault) -> Action {
    let outcome = probe::read(PLAYGROUND);
    let product = core::hint::black_box(1.5f64) * core::hint::black_box(2.0);
    if expect_page_fault("inside", outcome, NOT_PRESENT_READ, PLAYGROUND).is_ok() && product == 3.0
    {
        NESTED.fetch_add(1, Ordering::Relaxed);
    }
    fault.rip += probe::UNDEFINED_INSTRUCTION_SIZE;
    Action::Resume
}
