//! Seats: what members of a family need of each other to sleep, to wake each other, and to hand over what a new one starts with.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};

use exo_abi::Capability;
use exo_abi::environment::EnvironmentId;
use exo_abi::term::{Comparison, Term};

use super::{CAPABILITY, header, physical};
use crate::{environment, gate, predicate, wait};

/// Most members of a family at a time.
pub const SEATS: usize = 256;

/// One member's place.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Seat {
    /// Raised by whoever wakes it.
    wakes: AtomicU64,
    /// What its member does, a [`Doing`].
    doing: AtomicU64,
    /// What it starts with: a `Box<Box<dyn Any>>`; 0: nothing.
    parcel: AtomicU64,
}

/// What the member of a seat does, and so how it is told that there is something to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum Doing {
    /// It sleeps, or is about to; or there is none. The kernel wakes it.
    Sleeps = 0,
    /// It has nothing to do and gives way to others. It looks at its turns.
    GivesWay = 1,
    /// Anything else. The kernel tells it by an event.
    Computes = 2,
    /// The same, and it was told already.
    Told = 3,
}

impl Seat {
    /// Nobody's.
    pub(super) const fn new() -> Self {
        Self {
            wakes: AtomicU64::new(0),
            doing: AtomicU64::new(Doing::Sleeps as u64),
            parcel: AtomicU64::new(0),
        }
    }
}

fn seat(number: usize) -> &'static Seat {
    header()
        .seats
        .get(number)
        .expect("a family has no such seat")
}

/// Hands something over to the member that will sit there, or does.
pub fn send<T: 'static>(number: usize, value: T) {
    super::share();
    let parcel: Box<Box<dyn Any>> = Box::new(Box::new(value));
    let before = seat(number)
        .parcel
        .swap(Box::into_raw(parcel) as u64, Ordering::AcqRel);
    drop(open(before));
}

/// Takes what was handed over, if it is of this type.
pub fn receive<T: 'static>(number: usize) -> Option<T> {
    let word = seat(number).parcel.swap(0, Ordering::AcqRel);
    open(word)?.downcast().ok().map(|value| *value)
}

fn open(word: u64) -> Option<Box<dyn Any>> {
    if word == 0 {
        return None;
    }
    // SAFETY: 1. `send` alone writes such words, from a box of this type; 2. who takes it out of the seat puts another in its place; 3. all
    // members run the same program at the same addresses, so that types are what they were.
    Some(*unsafe { Box::from_raw(word as *mut Box<dyn Any>) })
}

fn set_doing(number: usize, doing: Doing) {
    const SLEEPS: u64 = Doing::Sleeps as u64;
    let header = header();
    match (
        seat(number).doing.swap(doing as u64, Ordering::AcqRel),
        doing,
    ) {
        (SLEEPS, Doing::Sleeps) => {}
        (SLEEPS, _) => drop(header.awake.fetch_add(1, Ordering::Relaxed)),
        (_, Doing::Sleeps) => drop(header.awake.fetch_sub(1, Ordering::Relaxed)),
        _ => {}
    }
}

/// Has the member of a seat, which runs in `environment`, look at what it waits for. Under the lock.
pub fn wake(number: usize, environment: EnvironmentId) {
    const SLEEPS: u64 = Doing::Sleeps as u64;
    const COMPUTES: u64 = Doing::Computes as u64;
    let seat = seat(number);
    seat.wakes.fetch_add(1, Ordering::Release);
    let told = match seat.doing.load(Ordering::Relaxed) {
        SLEEPS => Some(Doing::GivesWay),
        COMPUTES => Some(Doing::Told),
        _ => None,
    };
    if let Some(doing) = told {
        set_doing(number, doing);
        // It may have ended.
        let _ = gate::environment_wake(environment);
    }
    header()
        .woken
        .store(environment.0.into(), Ordering::Relaxed);
}

/// Lets other members have their turns while the one at `number` has nothing to do. True when it was woken, or `is_over` says so; false where all others
/// sleep, or some of its turns were for nothing. Who was woken last is next. Under the lock, which is free meanwhile.
///
/// So members that wake each other by turns never sleep: each switch is a yield.
pub fn give_way(number: usize, is_over: impl Fn() -> bool) -> bool {
    /// Turns without anything to do, after which it is to sleep.
    const TURNS: u32 = 3;
    let header = header();
    let wakes = &seat(number).wakes;
    let before = wakes.load(Ordering::Acquire);
    set_doing(number, Doing::GivesWay);
    for _ in 0..TURNS {
        let awake = header.awake.load(Ordering::Relaxed);
        let mut next = EnvironmentId(header.woken.swap(0, Ordering::Relaxed) as u16);
        if awake < 2 {
            return false;
        }
        if awake == 2 || next == environment::id() {
            // A yield to anyone is the cheapest, and there is but one.
            next = EnvironmentId::NOBODY;
        }
        super::release();
        // Who was woken may have ended.
        if gate::environment_yield_to(next).is_err() {
            wait::yield_now();
        }
        super::acquire();
        if wakes.load(Ordering::Acquire) != before || is_over() {
            set_doing(number, Doing::Computes);
            return true;
        }
    }
    false
}

/// Says that the member of a seat is about to sleep; the term of a predicate that holds as soon as somebody wakes it. Under the lock, which it
/// frees then, before it sleeps.
pub fn sleep_term(number: usize) -> Term {
    let seat = seat(number);
    set_doing(number, Doing::Sleeps);
    let place = physical((&raw const seat.wakes) as u64).unwrap_or_default();
    predicate::word(
        Capability(CAPABILITY.load(Ordering::Relaxed)),
        place,
        Comparison::NotEqual,
        seat.wakes.load(Ordering::Acquire),
    )
}

/// Says that it sleeps no longer, or has been made.
pub fn wake_up(number: usize) {
    set_doing(number, Doing::Computes);
}

/// Says that it is about to look at everything, so that it can be told anew.
pub fn look(number: usize) {
    if seat(number).doing.load(Ordering::Relaxed) == Doing::Told as u64 {
        set_doing(number, Doing::Computes);
    }
}

/// Says that it leaves its seat.
pub fn leave(number: usize) {
    set_doing(number, Doing::Sleeps);
}
