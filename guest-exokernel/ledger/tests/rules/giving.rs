//! `capability_give` and `capability_accept`.

use exo_abi::call::ANY_ENVIRONMENT;
use exo_abi::environment::{ACCEPTS_ANY, AbortReason};
use exo_abi::{Capability, EnvironmentId, Error, Rights};

use crate::machine::*;

/// A frame of environment one.
const FRAME: u64 = 2 * BLOCK + 500;

#[test]
fn refusals_come_in_order_and_change_nothing() {
    let mut ledger = machine();
    let root = allocate(&mut ledger, ONE, FRAME, 1, 0).unwrap();
    let dma = map_dma(&mut ledger, ONE, root, (FRAME, 1), Rights::READ).unwrap();
    let parent = derive(&mut ledger, ONE, root, (FRAME, 1), Rights::CAPABILITY).unwrap();
    let child = derive(&mut ledger, ONE, parent, (FRAME, 1), Rights::CAPABILITY).unwrap();
    ledger.accept(THREE, 1).unwrap();
    for _ in 0..QUOTAS.capabilities {
        allocate(&mut ledger, THREE, u64::MAX, 1, 0).unwrap();
    }
    let before = snapshot(&ledger);
    let refused = [
        (Capability::NONE, 0, Error::BadArgument),
        (Capability::NONE, u64::from(NUMBERS) + 1, Error::BadArgument),
        (Capability::NONE, 0xffff, Error::BadArgument),
        (Capability::NONE, 1 << 16 | 2, Error::BadArgument),
        (Capability::NONE, 2, Error::BadCapability),
        (dma, 2, Error::WrongKind),
        (root, 2, Error::NotPermitted),
        (parent, 2, Error::InUse),
        (child, 2, Error::Unwilling),
        (child, 1, Error::Unwilling),
        (child, 3, Error::Quota),
    ];
    for (word, to, error) in refused {
        let answer = ledger.check_give(ONE, word, to);
        assert_eq!(answer, Err(error), "{word:?} to {to}");
        assert_eq!(snapshot(&ledger), before);
    }
    let answer = ledger.check_give(TWO, child, 3);
    assert_eq!(answer, Err(Error::BadCapability));
}

#[test]
fn a_given_capability_has_one_holder_and_a_new_word() {
    let mut ledger = machine();
    let root = allocate(&mut ledger, ONE, FRAME, 1, 0).unwrap();
    let old = derive(&mut ledger, ONE, root, (FRAME, 1), Rights::READ).unwrap();
    ledger.accept(TWO, 1).unwrap();
    let new = give(&mut ledger, ONE, old, TWO).unwrap();
    ledger.audit().unwrap();
    assert_ne!(new, old);
    for holder in [ONE, TWO] {
        assert_eq!(ledger.capability(holder, old), Err(Error::BadCapability));
    }
    assert_eq!(ledger.capability(ONE, new), Err(Error::BadCapability));
    assert!(ledger.capability(TWO, new).is_ok());
    assert_eq!(ledger.newest_capability(TWO), Some(new));
    let held = |id| ledger.environment(id).unwrap().capabilities;
    assert_eq!((held(ONE), held(TWO)), (1, 1));
    assert_eq!(ledger.parent(new), Some(root));
    // Back to where it came from, it does not bring the first word back to life.
    ledger.accept(ONE, 2).unwrap();
    let third = give(&mut ledger, TWO, new, ONE).unwrap();
    assert_eq!(ledger.capability(ONE, old), Err(Error::BadCapability));
    assert!(ledger.capability(ONE, third).is_ok());
    ledger.audit().unwrap();
}

#[test]
fn only_whom_it_accepts_gives_to_an_environment() {
    let mut ledger = machine();
    let root = allocate(&mut ledger, ONE, FRAME, 1, 0).unwrap();
    let word = derive(&mut ledger, ONE, root, (FRAME, 1), Rights::READ).unwrap();
    for (accepts, expected) in [
        (0, Err(Error::Unwilling)),
        (2, Err(Error::Unwilling)),
        (3, Err(Error::Unwilling)),
        (1, Ok(TWO)),
        (ANY_ENVIRONMENT, Ok(TWO)),
        (0, Err(Error::Unwilling)),
    ] {
        ledger.accept(TWO, accepts).unwrap();
        assert_eq!(ledger.check_give(ONE, word, 2), expected, "{accepts:#x}");
    }
}

#[test]
fn nobody_accepts_from_numbers_without_an_environment() {
    let mut ledger = machine();
    ledger.accept(ONE, ANY_ENVIRONMENT).unwrap();
    assert_eq!(ledger.environment(ONE).unwrap().accepts, ACCEPTS_ANY);
    let before = snapshot(&ledger);
    for number in [
        u64::from(NUMBERS) + 1,
        0xffff,
        0x1_0001,
        0xffff_ffff,
        u64::MAX - 1,
    ] {
        assert_eq!(ledger.accept(ONE, number), Err(Error::BadArgument));
    }
    let nobody = EnvironmentId::NOBODY;
    assert_eq!(ledger.accept(nobody, 1), Err(Error::BadArgument));
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn the_dead_accept_nothing() {
    let mut ledger = machine();
    let root = allocate(&mut ledger, ONE, FRAME, 1, 0).unwrap();
    let word = derive(&mut ledger, ONE, root, (FRAME, 1), Rights::READ).unwrap();
    for id in [TWO, THREE] {
        ledger.accept(id, ANY_ENVIRONMENT).unwrap();
    }
    ledger.record_exit(TWO, 0);
    ledger.record_abort(THREE, AbortReason::NoUpcall, [0; 4]);
    for id in [TWO, THREE] {
        let answer = give(&mut ledger, ONE, word, id);
        assert_eq!(answer, Err(Error::Unwilling));
    }
}

#[test]
fn giving_to_oneself_renews_the_word() {
    let mut ledger = machine();
    let root = allocate(&mut ledger, ONE, FRAME, 1, 0).unwrap();
    let old = derive(&mut ledger, ONE, root, (FRAME, 1), Rights::READ).unwrap();
    ledger.accept(ONE, 1).unwrap();
    let new = give(&mut ledger, ONE, old, ONE).unwrap();
    assert_eq!(ledger.capability(ONE, old), Err(Error::BadCapability));
    assert!(ledger.capability(ONE, new).is_ok());
    assert_eq!(ledger.environment(ONE).unwrap().capabilities, 2);
    ledger.audit().unwrap();
}
