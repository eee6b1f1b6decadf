//! `capability_revoke`, and subtrees that end with their root's holder.

use exo_abi::{Capability, EnvironmentId, Error, Rights};
use exo_ledger::Ledger;

use crate::machine::*;

/// Frames of environment one.
const FIRST: u64 = 2 * BLOCK + 500;

/// Derives from `parent` and gives the child away.
fn pass_on(
    ledger: &mut Ledger,
    from: EnvironmentId,
    parent: Capability,
    to: EnvironmentId,
) -> Capability {
    let range = (FIRST, 1);
    let child = derive(ledger, from, parent, range, Rights::CAPABILITY).unwrap();
    ledger.accept(to, u64::from(from.0)).unwrap();
    give(ledger, from, child, to).unwrap()
}

#[test]
fn revoking_needs_the_right() {
    let mut ledger = machine();
    let root = allocate(&mut ledger, ONE, FIRST, 1, 0).unwrap();
    let rights = Rights::READ.union(Rights::DERIVE);
    let weak = derive(&mut ledger, ONE, root, (FIRST, 1), rights).unwrap();
    derive(&mut ledger, ONE, weak, (FIRST, 1), Rights::READ).unwrap();
    let before = snapshot(&ledger);
    let answers = [
        revoke(&mut ledger, ONE, weak, 9),
        revoke(&mut ledger, TWO, root, 9),
        revoke(&mut ledger, ONE, Capability::NONE, 9),
    ];
    let bad = Err(Error::BadCapability);
    assert_eq!(answers, [Err(Error::NotPermitted), bad, bad]);
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn revoking_takes_the_subtree_from_whomever_and_nothing_else() {
    let mut ledger = machine();
    let root = allocate(&mut ledger, ONE, FIRST, 1, 0).unwrap();
    let beside = pass_on(&mut ledger, ONE, root, THREE);
    let second = pass_on(&mut ledger, ONE, root, TWO);
    let third = pass_on(&mut ledger, TWO, second, THREE);
    let fourth = pass_on(&mut ledger, THREE, third, ONE);
    let fifth = pass_on(&mut ledger, TWO, second, TWO);
    ledger.audit().unwrap();
    assert_eq!(revoke(&mut ledger, TWO, second, 9), Ok(true));
    ledger.audit().unwrap();
    for (holder, word) in [(THREE, third), (ONE, fourth), (TWO, fifth)] {
        let answer = ledger.capability(holder, word);
        assert_eq!(answer, Err(Error::BadCapability), "{word:?}");
    }
    for (holder, word) in [(ONE, root), (THREE, beside), (TWO, second)] {
        assert!(ledger.capability(holder, word).is_ok(), "{word:?}");
    }
    assert_eq!(revoke(&mut ledger, ONE, root, 9), Ok(true));
    assert_eq!(revoke(&mut ledger, ONE, root, 9), Ok(true));
    assert_eq!(ledger.tables().summary.capabilities_used, 1);
    free(&mut ledger, ONE, root).unwrap();
    ledger.audit().unwrap();
}

#[test]
fn revoking_goes_on_where_the_batch_ended() {
    let mut ledger = machine();
    let root = allocate(&mut ledger, ONE, FIRST, 1, 0).unwrap();
    // Two children with two chains below them.
    for _ in 0..2 {
        let mut last = root;
        for _ in 0..3 {
            last = derive(&mut ledger, ONE, last, (FIRST, 1), Rights::CAPABILITY).unwrap();
        }
    }
    for left in [4, 2] {
        assert_eq!(revoke(&mut ledger, ONE, root, 2), Ok(false));
        let held = ledger.environment(ONE).unwrap().capabilities;
        assert_eq!(held, left + 1);
        ledger.audit().unwrap();
    }
    assert_eq!(revoke(&mut ledger, ONE, root, 2), Ok(true));
    assert_eq!(ledger.environment(ONE).unwrap().capabilities, 1);
}

#[test]
fn an_end_takes_what_others_derived() {
    let mut ledger = machine();
    let root = allocate(&mut ledger, ONE, FIRST, 1, 0).unwrap();
    let second = pass_on(&mut ledger, ONE, root, TWO);
    let third = pass_on(&mut ledger, TWO, second, THREE);
    // Below what another one keeps, and its own derived again.
    let foreign = allocate(&mut ledger, TWO, FIRST + 1, 1, 0).unwrap();
    let shared = derive(
        &mut ledger,
        TWO,
        foreign,
        (FIRST + 1, 1),
        Rights::CAPABILITY,
    )
    .unwrap();
    ledger.accept(ONE, 2).unwrap();
    let shared = give(&mut ledger, TWO, shared, ONE).unwrap();
    derive(&mut ledger, ONE, shared, (FIRST + 1, 1), Rights::READ).unwrap();
    ledger.audit().unwrap();
    ledger.record_exit(ONE, 0);
    take_everything_back(&mut ledger, ONE);
    ledger.audit().unwrap();
    for (holder, word) in [(TWO, second), (THREE, third), (ONE, shared)] {
        let answer = ledger.capability(holder, word);
        assert_eq!(answer, Err(Error::BadCapability));
    }
    assert_eq!(ledger.owner(FIRST), EnvironmentId::NOBODY);
    assert_eq!(ledger.owner(FIRST + 1), TWO);
    free(&mut ledger, TWO, foreign).unwrap();
    assert_eq!(ledger.tables().summary.capabilities_used, 0);
    ledger.audit().unwrap();
}

#[test]
fn nothing_with_children_is_freed() {
    let mut ledger = machine();
    let root = allocate(&mut ledger, ONE, FIRST, 1, 0).unwrap();
    let second = pass_on(&mut ledger, ONE, root, TWO);
    let third = pass_on(&mut ledger, TWO, second, THREE);
    assert_eq!(free(&mut ledger, ONE, root), Err(Error::InUse));
    assert_eq!(free(&mut ledger, TWO, second), Err(Error::InUse));
    free(&mut ledger, THREE, third).unwrap();
    free(&mut ledger, TWO, second).unwrap();
    free(&mut ledger, ONE, root).unwrap();
    assert_eq!(ledger.tables().summary.free_blocks, BLOCKS - 2);
    ledger.audit().unwrap();
}

#[test]
fn leaves_are_found_in_the_middle_of_a_list_of_siblings() {
    let mut ledger = machine();
    let root = allocate(&mut ledger, ONE, FIRST, 1, 0).unwrap();
    let words: Vec<_> = (0..4)
        .map(|_| derive(&mut ledger, ONE, root, (FIRST, 1), Rights::READ).unwrap())
        .collect();
    for index in [1, 3, 0] {
        free(&mut ledger, ONE, words[index]).unwrap();
        ledger.audit().unwrap();
    }
    assert_eq!(ledger.take_unmapped(root, root, &mut 0), Some(words[2]));
    assert_eq!(revoke(&mut ledger, ONE, root, 1), Ok(true));
    assert_eq!(ledger.take_unmapped(root, root, &mut 0), None);
    ledger.audit().unwrap();
}
