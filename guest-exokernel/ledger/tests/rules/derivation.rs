//! `capability_derive`.

use exo_abi::capability::DEPTH_MAX;
use exo_abi::{Capability, Error, Kind, Rights};
use exo_ledger::{FrameRange, Name, Quotas};

use crate::machine::*;

/// Frames of environment one.
const FIRST: u64 = 2 * BLOCK + 500;

#[test]
fn refusals_come_in_order_and_change_nothing() {
    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, FIRST, 20, 0).unwrap();
    let function = give_function(&mut ledger, 1, ONE);
    let dma = map_dma(&mut ledger, ONE, frames, (FIRST, 1), Rights::READ).unwrap();
    let weak = derive(&mut ledger, ONE, frames, (FIRST, 5), Rights::READ_WRITE).unwrap();
    let read_derive = Rights::READ.union(Rights::DERIVE);
    let shallow = derive(&mut ledger, ONE, frames, (FIRST, 5), read_derive).unwrap();
    let before = snapshot(&ledger);
    let (none, read) = (Capability::NONE, u64::from(Rights::READ.0));
    let (ports, queue) = (Kind::Ports as u64, Kind::Queue as u64);
    let refused = [
        // Rights, then the number of a kind, before all else.
        (none, 0, 0, 0, 99, Error::BadArgument),
        (none, 0, 0, 4, 99, Error::BadArgument),
        (none, 0, 0, 32, 99, Error::BadArgument),
        (none, 0, 0, 1 << 32 | 1, 99, Error::BadArgument),
        (none, 0, 0, read, 99, Error::BadArgument),
        (none, 0, 0, read, 1 << 8, Error::BadArgument),
        (none, 0, 0, read, 0, Error::BadCapability),
        // Kinds.
        (dma, 0, 0, 27, 0, Error::WrongKind),
        (dma, 0, 0, 27, Kind::Dma as u64, Error::WrongKind),
        (frames, 0, 0, 27, Kind::Dma as u64, Error::WrongKind),
        (frames, 0, 0, 27, Kind::Blocks as u64, Error::WrongKind),
        (frames, 0, 0, 27, queue, Error::WrongKind),
        (function, 0, 0, 27, ports, Error::WrongKind),
        (weak, 0, 0, 27, queue, Error::WrongKind),
        // Rights.
        (weak, 0, 0, read, 0, Error::NotPermitted),
        (shallow, 0, 0, 2, 0, Error::NotPermitted),
        (shallow, 0, 0, 16, 0, Error::NotPermitted),
        (shallow, 0, 0, 27, 0, Error::NotPermitted),
        // Count, range.
        (shallow, 0, 0, read, 0, Error::BadCount),
        (frames, FIRST - 1, 1, 27, 0, Error::OutOfRange),
        (frames, FIRST, 21, 27, 0, Error::OutOfRange),
        (frames, FIRST + 20, 1, 27, 0, Error::OutOfRange),
        (frames, FIRST + 1, u64::MAX, 27, 0, Error::OutOfRange),
        (frames, u64::MAX, 1, 27, 0, Error::OutOfRange),
        (shallow, FIRST + 4, 2, read, 0, Error::OutOfRange),
        (function, 2, 1, 27, 0, Error::OutOfRange),
        (function, 2, 1, 27, queue, Error::OutOfRange),
        (function, 0, 3, 27, queue, Error::OutOfRange),
    ];
    for (word, first, count, rights, kind, error) in refused {
        let answer = derive_kind(&mut ledger, ONE, word, (first, count), rights, kind);
        assert_eq!(
            answer,
            Err(error),
            "{word:?} {first} {count} {rights} {kind}"
        );
        assert_eq!(snapshot(&ledger), before);
    }
    let answer = derive(&mut ledger, TWO, frames, (FIRST, 1), Rights::READ);
    assert_eq!(answer, Err(Error::BadCapability));
}

#[test]
fn derived_capability_is_a_child_with_range_and_rights() {
    let mut ledger = machine();
    let blocks = allocate(&mut ledger, ONE, 2 * BLOCK, 2, 9).unwrap();
    let rights = Rights::READ.union(Rights::DERIVE);
    let child = derive(&mut ledger, ONE, blocks, (2 * BLOCK + 5, 9), rights).unwrap();
    let entry = *ledger.capability(ONE, child).unwrap();
    assert_eq!((entry.first, entry.count), (2 * BLOCK + 5, 9));
    assert_eq!((entry.kind, entry.depth), (Kind::Blocks as u8, 1));
    assert_eq!(u32::from(entry.rights), rights.0);
    assert_eq!(ledger.parent(child), Some(blocks));
    assert_eq!(ledger.parent(blocks), None);
    // No frame is charged for it, and nobody else owns one.
    let record = ledger.environment(ONE).unwrap();
    assert_eq!((record.frames, record.capabilities), (1024, 2));
    ledger.audit().unwrap();
    free(&mut ledger, ONE, child).unwrap();
    assert_eq!(ledger.environment(ONE).unwrap().frames, 1024);
    ledger.audit().unwrap();
}

#[test]
fn every_kind_but_dma_is_derived_within_its_range() {
    let mut ledger = machine();
    let kinds = [Kind::Ports, Kind::Entry, Kind::Queue, Kind::Extent];
    for kind in kinds {
        let name = Name {
            resource: 7,
            ..Name::new(kind, 40, 1)
        };
        let word = ledger.add_capability(ONE, name, Rights::CAPABILITY);
        let child = derive(&mut ledger, ONE, word, (40, 1), Rights::WRITE).unwrap();
        assert_eq!(ledger.entry(child).unwrap().resource, 7);
        for range in [(39, 1), (41, 1), (40, 2)] {
            let answer = derive(&mut ledger, ONE, word, range, Rights::WRITE);
            assert_eq!(answer, Err(Error::OutOfRange), "{kind}");
        }
        ledger.audit().unwrap();
        assert_eq!(revoke(&mut ledger, ONE, word, 9), Ok(true));
        free(&mut ledger, ONE, word).unwrap();
    }
}

#[test]
fn queues_are_derived_from_their_function() {
    let mut ledger = machine();
    let function = give_function(&mut ledger, 2, ONE);
    let queue = Kind::Queue as u64;
    let both = derive_kind(&mut ledger, ONE, function, (0, 2), 27, queue).unwrap();
    let second = derive(&mut ledger, ONE, both, (1, 1), Rights::READ_WRITE).unwrap();
    let entry = ledger.entry(second).unwrap();
    assert_eq!((entry.kind, entry.resource), (Kind::Queue as u8, 2));
    assert_eq!((entry.first, entry.count, entry.depth), (1, 1, 2));
    ledger.audit().unwrap();
    assert_eq!(free(&mut ledger, ONE, function), Err(Error::InUse));
    assert_eq!(free(&mut ledger, ONE, both), Err(Error::InUse));
}

#[test]
fn depth_quota_and_slots_bound_the_tree() {
    let memory = [
        FrameRange {
            start: 0,
            end: 2 * BLOCK,
        },
        FrameRange::default(),
    ];
    let quotas = Quotas {
        capabilities: 100,
        ..QUOTAS
    };
    let depth = usize::from(DEPTH_MAX);
    let mut ledger = bare(2, depth + 3, memory, 0);
    ledger.add_environment(ONE, &[0; 32], 0, quotas);
    let root = allocate(&mut ledger, ONE, 7, 1, 0).unwrap();
    let mut last = root;
    for _ in 0..depth {
        last = derive(&mut ledger, ONE, last, (7, 1), Rights::CAPABILITY).unwrap();
    }
    let before = snapshot(&ledger);
    let answer = derive(&mut ledger, ONE, last, (7, 1), Rights::CAPABILITY);
    assert_eq!(answer, Err(Error::Quota));
    let answer = map_dma(&mut ledger, ONE, last, (7, 1), Rights::READ);
    assert_eq!(answer, Err(Error::Quota));
    assert_eq!(snapshot(&ledger), before);
    ledger.audit().unwrap();
    // Two slots are left.
    for _ in 0..2 {
        derive(&mut ledger, ONE, root, (7, 1), Rights::READ).unwrap();
    }
    let answer = derive(&mut ledger, ONE, root, (7, 1), Rights::READ);
    assert_eq!(answer, Err(Error::Exhausted));
}

#[test]
fn derived_capabilities_are_charged_to_their_holder() {
    let mut ledger = machine();
    let root = allocate(&mut ledger, ONE, FIRST, 1, 0).unwrap();
    for _ in 1..QUOTAS.capabilities {
        derive(&mut ledger, ONE, root, (FIRST, 1), Rights::READ).unwrap();
    }
    let before = snapshot(&ledger);
    let answer = derive(&mut ledger, ONE, root, (FIRST, 1), Rights::READ);
    assert_eq!(answer, Err(Error::Quota));
    assert_eq!(snapshot(&ledger), before);
}
