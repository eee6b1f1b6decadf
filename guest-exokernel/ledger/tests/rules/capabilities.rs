//! Capability words: held, guessed, stale, and of slots that are used again.

use exo_abi::call::ANY_FRAME;
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};
use exo_ledger::Name;

use crate::machine::*;

#[test]
fn only_the_holder_is_believed() {
    let mut ledger = machine();
    let word = allocate(&mut ledger, ONE, ANY_FRAME, 1, 0).unwrap();
    assert!(ledger.capability(ONE, word).is_ok());
    for other in [TWO, EnvironmentId::NOBODY, EnvironmentId::KERNEL] {
        assert_eq!(ledger.capability(other, word), Err(Error::BadCapability));
    }
}

#[test]
fn guessed_words_are_refused() {
    let mut ledger = machine();
    let word = allocate(&mut ledger, ONE, ANY_FRAME, 1, 0).unwrap();
    let slot = word.slot();
    let guesses = [
        Capability::NONE,
        Capability(u64::MAX),
        Capability::new(slot, 0),
        Capability::new(slot, word.generation() + 1),
        Capability::new(slot + 1, word.generation()),
        Capability::new(SLOTS as u32, 1),
        Capability::new(u32::MAX, 1),
    ];
    for guess in guesses {
        let refused = Err(Error::BadCapability);
        assert_eq!(ledger.capability(ONE, guess), refused, "{guess:?}");
        // A free slot is held by nobody, who is no caller.
        assert_eq!(ledger.capability(EnvironmentId::NOBODY, guess), refused);
    }
}

#[test]
fn freed_word_stays_stale_when_its_slot_is_used_again() {
    let mut ledger = machine();
    let old = allocate(&mut ledger, ONE, 2 * BLOCK, 1, 0).unwrap();
    free(&mut ledger, ONE, old).unwrap();
    assert_eq!(ledger.capability(ONE, old), Err(Error::BadCapability));
    assert_eq!(free(&mut ledger, ONE, old), Err(Error::BadCapability));
    let new = allocate(&mut ledger, ONE, 2 * BLOCK, 1, 0).unwrap();
    assert_eq!(new.slot(), old.slot());
    assert_ne!(new, old);
    assert_eq!(ledger.capability(ONE, old), Err(Error::BadCapability));
    ledger.audit().unwrap();
}

#[test]
fn freeing_a_stale_word_without_a_check_changes_nothing() {
    let mut ledger = machine();
    let old = allocate(&mut ledger, ONE, ANY_FRAME, 1, 0).unwrap();
    free(&mut ledger, ONE, old).unwrap();
    allocate(&mut ledger, TWO, ANY_FRAME, 1, 0).unwrap();
    let before = snapshot(&ledger);
    ledger.commit_free(ONE, old);
    ledger.commit_free(TWO, old);
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn freed_slots_are_used_before_fresh_ones_last_freed_first() {
    let mut ledger = machine();
    let words: Vec<_> = (0..3)
        .map(|_| allocate(&mut ledger, ONE, ANY_FRAME, 1, 0).unwrap())
        .collect();
    free(&mut ledger, ONE, words[0]).unwrap();
    free(&mut ledger, ONE, words[2]).unwrap();
    let slots: Vec<_> = (0..3)
        .map(|_| allocate(&mut ledger, ONE, ANY_FRAME, 1, 0).unwrap().slot())
        .collect();
    assert_eq!(slots, [2, 0, 3]);
    ledger.audit().unwrap();
}

#[test]
fn without_a_slot_nothing_is_recorded() {
    let mut ledger = machine();
    let ports = |ledger: &mut exo_ledger::Ledger, holder| {
        ledger.add_capability(holder, Name::new(Kind::Ports, 0x3f8, 1), Rights::READ_WRITE)
    };
    for index in 0..SLOTS {
        let holder = EnvironmentId(1 + index as u16 / 7);
        assert_ne!(ports(&mut ledger, holder), Capability::NONE);
    }
    let before = snapshot(&ledger);
    assert_eq!(ports(&mut ledger, THREE), Capability::NONE);
    assert_eq!(snapshot(&ledger), before);
    ledger.audit().unwrap();
}

#[test]
fn function_capability_tells_its_index_and_nothing_else_passes() {
    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, ANY_FRAME, 1, 0).unwrap();
    let function = give_function(&mut ledger, 2, ONE);
    assert_eq!(ledger.function_capability(ONE, function), Ok(2));
    assert_eq!(
        ledger.function_capability(ONE, frames),
        Err(Error::WrongKind)
    );
    assert_eq!(
        ledger.function_capability(TWO, function),
        Err(Error::BadCapability)
    );
    ledger.audit().unwrap();
}

#[test]
fn walking_finds_each_capability_of_the_holder_once() {
    let mut ledger = machine();
    let mut expected = Vec::new();
    for index in 0..12 {
        let holder = if index % 3 == 0 { TWO } else { ONE };
        let word = allocate(&mut ledger, holder, ANY_FRAME, 1, 0).unwrap();
        if holder == ONE {
            expected.push(word);
        }
    }
    // The oldest, the newest, and one between them.
    for index in [7, 3, 0] {
        free(&mut ledger, ONE, expected.remove(index)).unwrap();
    }
    expected.push(allocate(&mut ledger, ONE, ANY_FRAME, 1, 0).unwrap());
    ledger.audit().unwrap();
    let newest = ledger.newest_capability(ONE);
    let found = std::iter::successors(newest, |&word| ledger.older_capability(ONE, word));
    assert!(found.eq(expected.iter().rev().copied()));
}

#[test]
fn a_walk_needs_a_word_that_its_holder_has() {
    let mut ledger = machine();
    let old = allocate(&mut ledger, ONE, ANY_FRAME, 1, 0).unwrap();
    let new = allocate(&mut ledger, ONE, ANY_FRAME, 1, 0).unwrap();
    assert_eq!(ledger.older_capability(ONE, new), Some(old));
    assert_eq!(ledger.older_capability(ONE, old), None);
    assert_eq!(ledger.older_capability(TWO, new), None);
    assert_eq!(ledger.newest_capability(TWO), None);
    free(&mut ledger, ONE, new).unwrap();
    assert_eq!(ledger.older_capability(ONE, new), None);
    for holder in [EnvironmentId::NOBODY, EnvironmentId::KERNEL] {
        assert_eq!(ledger.newest_capability(holder), None);
    }
}
