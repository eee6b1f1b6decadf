//! Seats: what members of a family need of each other to sleep, to wake each other, and to hand over what a new one starts with.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};

use exo_abi::Capability;
use exo_abi::environment::EnvironmentId;
use exo_abi::term::{Comparison, Term};

use super::{CAPABILITY, header, physical};
use crate::{gate, predicate};

/// Most members of a family at a time.
pub const SEATS: usize = 256;

/// One member's place.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Seat {
    /// Raised by whoever wakes it.
    wakes: AtomicU64,
    /// 1 while it sleeps, or is about to.
    sleeps: AtomicU64,
    /// What it starts with: a `Box<Box<dyn Any>>`; 0: nothing.
    parcel: AtomicU64,
}

impl Seat {
    /// Nobody's.
    pub(super) const fn new() -> Self {
        Self {
            wakes: AtomicU64::new(0),
            sleeps: AtomicU64::new(0),
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

/// Wakes the member of a seat, which runs in `environment`, if it sleeps. Under the lock.
pub fn wake(number: usize, environment: EnvironmentId) {
    let seat = seat(number);
    seat.wakes.fetch_add(1, Ordering::Release);
    if seat.sleeps.load(Ordering::Acquire) != 0 {
        // It may have ended.
        let _ = gate::environment_wake(environment);
    }
}

/// Says that the member of a seat is about to sleep; the term of a predicate that holds as soon as somebody wakes it. Under the lock, which it
/// frees then, before it sleeps.
pub fn sleep_term(number: usize) -> Term {
    let seat = seat(number);
    seat.sleeps.store(1, Ordering::Release);
    let place = physical((&raw const seat.wakes) as u64).unwrap_or_default();
    predicate::word(
        Capability(CAPABILITY.load(Ordering::Relaxed)),
        place,
        Comparison::NotEqual,
        seat.wakes.load(Ordering::Acquire),
    )
}

/// Says that it sleeps no longer.
pub fn wake_up(number: usize) {
    seat(number).sleeps.store(0, Ordering::Release);
}
