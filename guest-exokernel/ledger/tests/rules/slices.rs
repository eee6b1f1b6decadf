//! Slots of the slice vectors: allocated, handed on, and whose they are when somebody gives them up.

use exo_abi::{Capability, EnvironmentId, Error, Rights};
use exo_ledger::Ledger;

use crate::machine::*;

const NOBODY: EnvironmentId = EnvironmentId::NOBODY;

/// Derives the slots from `capability` of `from`, gives them to `to`.
fn hand_on(
    ledger: &mut Ledger,
    (from, capability): (EnvironmentId, Capability),
    to: EnvironmentId,
    slots: (u64, u64),
) -> Capability {
    let derived = derive(ledger, from, capability, slots, Rights::CAPABILITY).unwrap();
    ledger.accept(to, from.0.into()).unwrap();
    give(ledger, from, derived, to).unwrap()
}

fn owners(ledger: &Ledger, slots: std::ops::Range<usize>) -> Vec<EnvironmentId> {
    slots.map(|slot| ledger.slice_owner(0, slot)).collect()
}

#[test]
fn slots_that_were_handed_on_come_back() {
    let mut ledger = machine();
    let all = allocate_slices(&mut ledger, ONE, (4, 3)).unwrap();
    let part = hand_on(&mut ledger, (ONE, all), TWO, (5, 1));
    assert_eq!(owners(&ledger, 3..8), [NOBODY, ONE, ONE, ONE, NOBODY]);
    for slots in [(3, 1), (7, 1), (6, 2)] {
        let answer = derive(&mut ledger, ONE, all, slots, Rights::READ);
        assert_eq!(answer, Err(Error::OutOfRange), "{slots:?}");
    }
    bind_slices(&mut ledger, TWO, part).unwrap();
    assert_eq!(owners(&ledger, 4..7), [ONE, TWO, ONE]);
    ledger.audit().unwrap();
    free(&mut ledger, TWO, part).unwrap();
    assert_eq!(owners(&ledger, 4..7), [ONE; 3]);
    ledger.audit().unwrap();
    free(&mut ledger, ONE, all).unwrap();
    assert_eq!(owners(&ledger, 4..7), [NOBODY; 3]);
    assert_eq!(ledger.environment(ONE).unwrap().slices, 0);
    ledger.audit().unwrap();
}

#[test]
fn slots_come_back_past_those_who_never_bound_them() {
    let mut ledger = machine();
    let all = allocate_slices(&mut ledger, ONE, (0, 2)).unwrap();
    // The third runs on another vCPU: it can only hand them on.
    let between = hand_on(&mut ledger, (ONE, all), THREE, (0, 2));
    assert_eq!(
        bind_slices(&mut ledger, THREE, between),
        Err(Error::BadArgument)
    );
    let last = hand_on(&mut ledger, (THREE, between), TWO, (0, 1));
    bind_slices(&mut ledger, TWO, last).unwrap();
    assert_eq!(owners(&ledger, 0..2), [TWO, ONE]);
    free(&mut ledger, TWO, last).unwrap();
    assert_eq!(owners(&ledger, 0..2), [ONE, ONE]);
    ledger.audit().unwrap();
    let taken = allocate_slices(&mut ledger, TWO, (0, 1));
    assert_eq!(taken, Err(Error::Taken));
}

#[test]
fn slots_come_back_past_those_who_have_ended() {
    let mut ledger = machine();
    let all = allocate_slices(&mut ledger, ONE, (0, 2)).unwrap();
    let between = hand_on(&mut ledger, (ONE, all), TWO, (0, 2));
    bind_slices(&mut ledger, TWO, between).unwrap();
    let last = derive(&mut ledger, TWO, between, (1, 1), Rights::CAPABILITY).unwrap();
    bind_slices(&mut ledger, TWO, last).unwrap();
    ledger.record_exit(TWO, 0);
    take_everything_back(&mut ledger, TWO);
    assert_eq!(owners(&ledger, 0..2), [ONE, ONE]);
    ledger.audit().unwrap();
}

#[test]
fn handing_on_makes_no_room_in_a_quota() {
    let mut ledger = machine();
    let quota = u64::from(QUOTAS.slices);
    let all = allocate_slices(&mut ledger, ONE, (0, quota)).unwrap();
    let given = hand_on(&mut ledger, (ONE, all), TWO, (0, quota));
    bind_slices(&mut ledger, TWO, given).unwrap();
    let before = snapshot(&ledger);
    let more = allocate_slices(&mut ledger, ONE, (quota, 1));
    assert_eq!(more, Err(Error::Quota));
    let more = allocate_slices(&mut ledger, TWO, (quota, 1));
    assert_eq!(more, Err(Error::Quota));
    assert_eq!(snapshot(&ledger), before);
    // Twice the same counts twice.
    free(&mut ledger, TWO, given).unwrap();
    let same = derive(&mut ledger, ONE, all, (0, 1), Rights::READ).unwrap();
    assert_eq!(bind_slices(&mut ledger, ONE, same), Err(Error::Quota));
    ledger.audit().unwrap();
}
