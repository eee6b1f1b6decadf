//! What the kernel needs to know for taking things back: the guaranteed set, the limit of frames, amounts by kind, the log.

use exo_abi::revocation::{REVOCATION_LOG, RevocationEvent, RevocationKind};
use exo_abi::{EnvironmentId, Error, Kind, Rights};
use exo_ledger::Name;

use crate::machine::*;

const FIRST: u64 = BLOCK;

#[test]
fn frames_above_the_limit_are_not_to_be_had() {
    let mut ledger = machine();
    let all = ledger.tables().summary.frames_limit;
    assert_eq!(all, END - 2 * BLOCK);
    let owned = ledger.tables().summary.frames_owned;
    let one = allocate(&mut ledger, ONE, FIRST, 3, 0).unwrap();
    assert_eq!(ledger.tables().summary.frames_owned, owned + 3);
    ledger.set_frames_limit(owned + 4);
    let before = snapshot(&ledger);
    let answer = allocate(&mut ledger, TWO, FIRST + 3, 2, 0);
    assert_eq!(answer, Err(Error::Exhausted));
    assert_eq!(snapshot(&ledger), before);
    allocate(&mut ledger, TWO, FIRST + 3, 1, 0).unwrap();
    // Whoever owns more already keeps it.
    ledger.set_frames_limit(0);
    ledger.audit().unwrap();
    ledger.commit_free(ONE, one);
    assert_eq!(ledger.tables().summary.frames_owned, owned + 1);
    ledger.audit().unwrap();
}

#[test]
fn what_an_environment_starts_with_is_never_taken() {
    let mut ledger = machine();
    let first = allocate(&mut ledger, ONE, FIRST, 2, 0).unwrap();
    ledger.guarantee(ONE);
    let guaranteed = ledger.environment(ONE).unwrap().frames_guaranteed;
    assert_eq!(guaranteed, ledger.environment(ONE).unwrap().frames);
    let second = allocate(&mut ledger, ONE, FIRST + 2, 5, 0).unwrap();
    ledger.audit().unwrap();
    let amount = |ledger: &exo_ledger::Ledger, capability| {
        ledger.amount_of(ONE, capability, RevocationKind::Frames)
    };
    assert_eq!((amount(&ledger, first), amount(&ledger, second)), (0, 5));
    // A part that was derived owns nothing.
    let part = derive(&mut ledger, ONE, second, (FIRST + 2, 1), Rights::READ).unwrap();
    assert_eq!(amount(&ledger, part), 0);
    ledger.commit_free(ONE, first);
    let left = ledger.environment(ONE).unwrap().frames_guaranteed;
    assert_eq!(left, guaranteed - 2);
    assert_eq!(amount(&ledger, first), 0);
    ledger.audit().unwrap();
}

#[test]
fn bindings_are_counted_by_kind() {
    let mut ledger = machine();
    let kinds = [
        (Kind::Slice, RevocationKind::Slices),
        (Kind::Queue, RevocationKind::Queues),
        (Kind::Extent, RevocationKind::Extents),
        (Kind::Ports, RevocationKind::Ports),
    ];
    for (kind, asked) in kinds {
        assert_eq!(ledger.amount_held(ONE, asked), 0);
        let binding = ledger.add_capability(ONE, Name::new(kind, 3, 1), Rights::CAPABILITY);
        assert_eq!(ledger.amount_held(ONE, asked), 1, "{kind}");
        for (other, kind) in kinds {
            let due = u64::from(kind == asked);
            assert_eq!(ledger.amount_of(ONE, binding, kind), due, "{other}");
        }
    }
    assert_eq!(ledger.amount_held(ONE, RevocationKind::Vcpus), 1);
    assert_eq!(
        ledger.amount_held(EnvironmentId::NOBODY, RevocationKind::Ports),
        0
    );
}

#[test]
fn the_log_is_a_ring() {
    let mut ledger = machine();
    let length = REVOCATION_LOG as u64;
    for number in 1..=length + 2 {
        ledger.log_revocation(RevocationEvent::Asked, ONE, 1, number, 10, (20, 30));
    }
    let log = &ledger.tables().revocations;
    let numbers: Vec<u64> = log.iter().take(3).map(|entry| entry.number).collect();
    assert_eq!(numbers, [length + 1, length + 2, 3]);
    let entry = log[1];
    assert_eq!(
        (entry.serial, entry.environment, entry.time),
        (length as u32 + 2, ONE, 10)
    );
    assert_eq!((entry.first, entry.count, entry.kind), (20, 30, 1));
}
