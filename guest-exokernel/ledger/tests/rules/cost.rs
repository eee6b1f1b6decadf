//! What one operation changes among very many capabilities is what it changes among few. (What it reads is counted in
//! ring-0 instructions: `tests/tests/scale.rs`.)

use exo_abi::call::ANY_ENVIRONMENT;
use exo_abi::capability::CapabilityEntry;
use exo_abi::{Capability, Rights};
use exo_ledger::{FrameRange, Ledger, Quotas};

use crate::machine::*;

/// Capabilities of each of two environments, where there are many. Miri takes a thousand times as long.
const MANY: usize = if cfg!(miri) { 50 } else { 50_000 };
/// A frame of environment one.
const FRAME: u64 = 7;

/// Environments one and two with `count` capabilities each, derived by turns from the oldest and from the newest of those
/// before; and the root of all.
fn crowd(count: usize) -> (Ledger<'static>, Capability) {
    let memory = [
        FrameRange {
            start: 0,
            end: 2 * BLOCK,
        },
        FrameRange::default(),
    ];
    let mut ledger = bare(2, 2 * count + 10, memory, 0);
    let quotas = Quotas {
        capabilities: u32::MAX,
        ..QUOTAS
    };
    for id in [ONE, TWO] {
        ledger.add_environment(id, &[0; 32], 0, quotas);
        ledger.accept(id, ANY_ENVIRONMENT).unwrap();
    }
    let root = allocate(&mut ledger, ONE, FRAME, 1, 0).unwrap();
    let mut newest = root;
    for index in 0..2 * count {
        let parent = if index % 3 == 0 { root } else { newest };
        let full = Rights::CAPABILITY;
        let child = derive(&mut ledger, ONE, parent, (FRAME, 1), full).unwrap();
        if index % 2 == 0 {
            give(&mut ledger, ONE, child, TWO).unwrap();
        } else {
            newest = child;
        }
        if index % 30 == 0 {
            newest = root;
        }
    }
    (ledger, root)
}

/// How many entries of the capability table an operation changes.
fn changed(ledger: &mut Ledger, work: impl FnOnce(&mut Ledger)) -> usize {
    let before: Vec<CapabilityEntry> = ledger.tables().capabilities.to_vec();
    work(ledger);
    let after = ledger.tables().capabilities.iter();
    after.zip(&before).filter(|(now, old)| now != old).count()
}

/// What each operation changes: derive, give, give back, free, derive two and revoke.
fn costs(count: usize) -> [usize; 5] {
    let (mut ledger, root) = crowd(count);
    let range = (FRAME, 1);
    let mut word = Capability::NONE;
    let full = Rights::CAPABILITY;
    let derived = changed(&mut ledger, |ledger| {
        word = derive(ledger, ONE, root, range, full).unwrap();
    });
    let given = changed(&mut ledger, |ledger| {
        word = give(ledger, ONE, word, TWO).unwrap();
    });
    let given_back = changed(&mut ledger, |ledger| {
        word = give(ledger, TWO, word, ONE).unwrap();
    });
    for _ in 0..3 {
        derive(&mut ledger, ONE, word, range, Rights::READ).unwrap();
    }
    let revoked = changed(&mut ledger, |ledger| {
        assert_eq!(revoke(ledger, ONE, word, 64), Ok(true));
    });
    let freed = changed(&mut ledger, |ledger| {
        free(ledger, ONE, word).unwrap();
    });
    [derived, given, given_back, revoked, freed]
}

#[test]
fn an_operation_changes_the_same_among_a_hundred_thousand_as_among_few() {
    let few = costs(5);
    assert_eq!(costs(MANY), few);
    assert!(few.iter().all(|&changed| changed <= 5), "{few:?}");
}

#[test]
fn revoking_a_hundred_thousand_takes_each_once() {
    let (mut ledger, root) = crowd(MANY);
    let mut calls = 1;
    while revoke(&mut ledger, ONE, root, 64) == Ok(false) {
        calls += 1;
    }
    assert_eq!(calls, (2 * MANY).div_ceil(64));
    assert_eq!(ledger.tables().summary.capabilities_used, 1);
    let held = |id| ledger.environment(id).unwrap().capabilities;
    assert_eq!((held(ONE), held(TWO)), (1, 0));
}
