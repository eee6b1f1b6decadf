//! `capability_free`, and the taking back of everything when an environment ends.

use exo_abi::call::ANY_FRAME;
use exo_abi::{Error, Kind, Rights};
use exo_ledger::Name;

use crate::machine::*;

#[test]
fn freed_memory_is_free_for_others() {
    for (count, order) in [(5, 0), (2, 9)] {
        let mut ledger = machine();
        let before = (
            ledger.tables().summary.free_blocks,
            ledger.tables().summary.split_frames_used,
        );
        let word = allocate(&mut ledger, ONE, 2 * BLOCK, count, order).unwrap();
        assert_eq!(
            allocate(&mut ledger, TWO, 2 * BLOCK, 1, order),
            Err(Error::Taken)
        );
        free(&mut ledger, ONE, word).unwrap();
        let after = (
            ledger.tables().summary.free_blocks,
            ledger.tables().summary.split_frames_used,
        );
        assert_eq!(after, before);
        assert_eq!(ledger.environment(ONE).unwrap().frames, 0);
        assert_eq!(ledger.environment(ONE).unwrap().capabilities, 0);
        allocate(&mut ledger, TWO, 2 * BLOCK, count, order).unwrap();
        ledger.audit().unwrap();
    }
}

#[test]
fn others_and_stale_words_free_nothing() {
    let mut ledger = machine();
    let word = allocate(&mut ledger, ONE, ANY_FRAME, 1, 0).unwrap();
    let before = snapshot(&ledger);
    assert_eq!(free(&mut ledger, TWO, word), Err(Error::BadCapability));
    assert_eq!(snapshot(&ledger), before);
    free(&mut ledger, ONE, word).unwrap();
    let before = snapshot(&ledger);
    assert_eq!(free(&mut ledger, ONE, word), Err(Error::BadCapability));
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn check_tells_what_is_given_back() {
    let mut ledger = machine();
    let ports = ledger.add_capability(ONE, Name::new(Kind::Ports, 0x3f8, 1), Rights::READ_WRITE);
    let entry = ledger.check_free(ONE, ports).unwrap();
    assert_eq!((entry.kind, entry.first), (Kind::Ports as u8, 0x3f8));
    ledger.commit_free(ONE, ports);
    ledger.audit().unwrap();
}

#[test]
fn image_frames_are_freed_like_others_once_unmapped() {
    let mut ledger = machine();
    let word = ledger.claim_frames(ONE, 2 * BLOCK + 5, 700).unwrap();
    map(&mut ledger, ONE, word, (2 * BLOCK + 704, 1), Rights::READ).unwrap();
    assert_eq!(free(&mut ledger, ONE, word), Err(Error::InUse));
    unmap(&mut ledger, word, 2 * BLOCK + 704, false);
    free(&mut ledger, ONE, word).unwrap();
    assert_eq!(ledger.tables().summary.free_blocks, BLOCKS - 2);
    ledger.audit().unwrap();
}

#[test]
fn an_ended_environment_loses_everything_though_mapped() {
    let mut ledger = machine();
    let clean = ledger.tables().blocks.to_vec();
    let blocks = allocate(&mut ledger, ONE, ANY_FRAME, 2, 9).unwrap();
    let frames = allocate(&mut ledger, ONE, ANY_FRAME, 9, 0).unwrap();
    for word in [blocks, frames] {
        let first = ledger.capability(ONE, word).unwrap().first;
        map(&mut ledger, ONE, word, (first, 4), Rights::MAPPING).unwrap();
        map_dma(&mut ledger, ONE, word, (first + 1, 3), Rights::READ_WRITE).unwrap();
    }
    let kept = allocate(&mut ledger, TWO, ANY_FRAME, 1, 0).unwrap();
    ledger.record_exit(ONE, 3);
    take_everything_back(&mut ledger, ONE);
    ledger.audit().unwrap();
    assert!(ledger.capability(TWO, kept).is_ok());
    let entry = ledger.environment(ONE).unwrap();
    assert_eq!(
        (entry.frames, entry.capabilities, entry.dma_mappings),
        (0, 0, 0)
    );
    free(&mut ledger, TWO, kept).unwrap();
    assert_eq!(ledger.tables().blocks, clean);
    assert!(
        ledger
            .tables()
            .frames
            .iter()
            .all(|frame| *frame == Default::default())
    );
}
