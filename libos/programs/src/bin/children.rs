//! Makes environments, fills, starts and ends them, wherever they run: again and again out of the same numbers, and nothing is lost.
#![no_std]
#![no_main]

extern crate alloc;

use core::sync::atomic::{AtomicU64, Ordering};

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_rt::abi::address::BLOCK_ORDER;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::environment::{AbortReason, EnvironmentEntry, KEPT_TABLES, State};
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Rights};
use exo_rt::children::{Child, Maker, QUOTAS};
use exo_rt::gate::{self, Quotas, Target};
use exo_rt::{println, program_memory, tables, wait, window};

exo_rt::program!(main);

/// Rounds through all numbers.
const ROUNDS: u64 = 40;
/// Looks at a word that is not to change.
const LOOKS: u32 = 20_000;

/// What children add their argument to.
static SUM: AtomicU64 = AtomicU64::new(0);
/// What children raise while they run.
static TICKS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

extern "C" fn add(argument: u64) -> u64 {
    SUM.fetch_add(argument, Ordering::Relaxed);
    argument + 1
}

extern "C" fn spin(index: u64) -> u64 {
    loop {
        TICKS[index as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Sleeps for an event, which is the end of nobody.
extern "C" fn sleep(_: u64) -> u64 {
    TICKS[3].fetch_add(1, Ordering::Relaxed);
    let _ = gate::environment_wait(exo_rt::environment::events());
    0
}

fn main() -> Verdict {
    let maker = expect_done("deriving", Maker::new())?;
    let vcpus = tables::environments()
        .map(|(_, entry)| entry.vcpu)
        .max()
        .unwrap_or(0)
        + 1;
    again_and_again(&maker, vcpus)?;
    by_force(&maker, vcpus)?;
    taken_from_below(&maker, vcpus)?;
    with_frames(&maker, vcpus)?;
    refused(&maker)?;
    let child = expect_done("making", maker.make(0, 0))?;
    // It faults with its first instruction, and has given no credit for an upcall.
    let started = gate::environment_start(child.target, 0x1000, 0, 0);
    expect_done("starting", started)?;
    let entry = await_end(child.target);
    expect_equal(
        "a fault",
        entry.abort_reason,
        AbortReason::NestedFault as u32,
    )?;
    println!("children: each ended as it was to");
    // The last ones go with this one.
    for index in 0..2 {
        let vcpu = u32::from(index) % vcpus;
        let child = expect_done("making", maker.make(1 + index, vcpu))?;
        expect_done("starting", child.start(spin, 0))?;
    }
    expect_done("making", maker.make(3, 0))?;
    Ok(())
}

/// All numbers, many times; quotas and tables come back each time.
fn again_and_again(maker: &Maker, vcpus: u32) -> Verdict {
    let before = tables::own_environment();
    let mut due = 0;
    let mut free = None;
    for round in 0..ROUNDS {
        for index in 0..maker.numbers.1 {
            let vcpu = (round as u32 + u32::from(index)) % vcpus;
            let child = expect_done("making", maker.make(index, vcpu))?;
            let argument = round * 100 + u64::from(index);
            due += argument;
            let seen = exo_rt::environment::events();
            expect_done("starting", child.start(add, argument))?;
            let entry = await_end(child.target);
            expect_equal("state", entry.state, State::Exited as u32)?;
            expect_equal("status", entry.exit_status, argument + 1)?;
            expect_equal("tables", entry.tables, KEPT_TABLES)?;
            expect_equal("events", exo_rt::environment::events() != seen, true)?;
            expect_done("clearing", maker.clear(child))?;
        }
        let now = tables::summary().free_tables;
        expect_equal("free tables", now, *free.get_or_insert(now))?;
    }
    expect_equal("sum", SUM.load(Ordering::Relaxed), due)?;
    let after = tables::own_environment();
    let quotas = |entry: EnvironmentEntry| {
        [
            entry.frames_quota,
            entry.tables_quota,
            entry.capabilities_quota,
            entry.frames,
            entry.capabilities,
        ]
    };
    expect_equal("quotas", quotas(after), quotas(before))
}

/// Those that run, here or elsewhere, wait for their turn, sleep, or have not started.
fn by_force(maker: &Maker, vcpus: u32) -> Verdict {
    for vcpu in (0..vcpus).rev() {
        let child = expect_done("making", maker.make(0, vcpu))?;
        expect_done("starting", child.start(spin, 0))?;
        let start = TICKS[0].load(Ordering::Relaxed);
        while TICKS[0].load(Ordering::Relaxed) == start {
            wait::yield_now();
        }
        expect_done("ending", gate::environment_end(child.target, 77))?;
        expect_still("who was ended", 0)?;
        let entry = await_end(child.target);
        expect_equal("status", entry.exit_status, 77)?;
        expect_done("clearing", maker.clear(child))?;

        let child = expect_done("making", maker.make(0, vcpu))?;
        expect_done("ending", gate::environment_end(child.target, 78))?;
        expect_equal("status", await_end(child.target).exit_status, 78)?;
        expect_done("clearing", maker.clear(child))?;

        let child = expect_done("making", maker.make(0, vcpu))?;
        let start = TICKS[3].load(Ordering::Relaxed);
        expect_done("starting", child.start(sleep, 0))?;
        while TICKS[3].load(Ordering::Relaxed) == start
            || state(child.target) == State::Runnable as u32
        {
            wait::yield_now();
        }
        expect_equal("asleep", state(child.target), State::Waiting as u32)?;
        expect_done("ending", gate::environment_end(child.target, 79))?;
        expect_done("clearing", maker.clear(child))?;
    }
    Ok(())
}

/// A page that is taken from one that runs is gone from it at once.
fn taken_from_below(maker: &Maker, vcpus: u32) -> Verdict {
    let child = expect_done("making", maker.make(0, vcpus - 1))?;
    expect_done("starting", child.start(spin, 1))?;
    while TICKS[1].load(Ordering::Relaxed) == 0 {
        wait::yield_now();
    }
    let entry = MapEntry {
        address: (&raw const TICKS) as u64 / 4096 * 4096,
        pages: 1,
        ..MapEntry::default()
    };
    expect_done(
        "unmapping",
        gate::page_unmap_in(child.target, &[entry]).map(drop),
    )?;
    expect_still("who has lost the page", 1)?;
    let ended = await_end(child.target);
    expect_equal(
        "reason",
        ended.abort_reason,
        AbortReason::NestedFault as u32,
    )?;
    expect_equal("address", ended.abort_address / 4096 * 4096, entry.address)?;
    expect_done("clearing", maker.clear(child))
}

/// Takes a block and some frames of its own quota, writes to them, and leaves them to the kernel.
extern "C" fn take_frames(_: u64) -> u64 {
    for (count, order) in [(1, BLOCK_ORDER), (3, 0)] {
        let Ok(capability) = gate::frame_allocate(ANY_FRAME, count, order) else {
            return 1;
        };
        let Some(entry) = tables::capability(capability.slot()) else {
            return 2;
        };
        let place = window::address_of(entry.first);
        if program_memory::copy((&raw const SUM) as u64, place, 8).is_err() {
            return 3;
        }
    }
    0
}

/// What one has taken of its own quota comes back with its end.
fn with_frames(maker: &Maker, vcpus: u32) -> Verdict {
    let quotas = Quotas {
        frames: 600,
        ..QUOTAS
    };
    let mut before = None;
    for round in 0..4 {
        let child = expect_done("making", maker.make_with(1, round % vcpus, quotas))?;
        expect_done("starting", child.start(take_frames, 0))?;
        let entry = await_end(child.target);
        expect_equal("status", entry.exit_status, 0)?;
        expect_equal("frames left", (entry.frames, entry.frames_quota), (0, 0))?;
        expect_done("clearing", maker.clear(child))?;
        let summary = tables::summary();
        let now = (summary.free_tables, summary.frames_owned);
        expect_equal("what is free", now, *before.get_or_insert(now))?;
    }
    Ok(())
}

fn refused(maker: &Maker) -> Verdict {
    let Child { target, .. } = expect_done("making", maker.make(0, 0))?;
    let again = gate::environment_create(target, 0, QUOTAS);
    expect_error("a number in use", again, Error::Taken)?;
    let bad = gate::environment_start(target, 0, 0, 0);
    expect_error("no entry", bad, Error::BadAddress)?;
    expect_done("ending", gate::environment_end(target, 0))?;
    let ended = gate::environment_end(target, 0);
    expect_error("who has ended", ended, Error::BadState)?;
    let started = gate::environment_start(target, 0x1000, 0, 0);
    expect_error("start of who has ended", started, Error::BadState)?;
    let entry = MapEntry {
        address: 0x1000,
        pages: 1,
        rights: Rights::READ.0,
        ..MapEntry::default()
    };
    let mapped = gate::page_map_in(target, &[entry]);
    expect_error("pages of who has ended", mapped, Error::BadState)
}

/// Fails if a child still counts.
fn expect_still(what: &str, index: usize) -> Verdict {
    let ticks = TICKS[index].load(Ordering::Relaxed);
    for _ in 0..LOOKS {
        core::hint::spin_loop();
    }
    wait::yield_now();
    expect_equal(what, TICKS[index].load(Ordering::Relaxed), ticks)
}

fn state(target: Target) -> u32 {
    tables::environment(target.id).map_or(0, |entry| entry.state)
}

fn await_end(target: Target) -> EnvironmentEntry {
    loop {
        // As it is at one moment: another vCPU may be about to take back what it held.
        let before = tables::summary().sequence;
        let entry = tables::environment(target.id);
        let settled = before.is_multiple_of(2) && tables::summary().sequence == before;
        if let Some(entry) = entry
            && settled
            && tables::has_ended(&entry)
        {
            return entry;
        }
        wait::yield_now();
    }
}
