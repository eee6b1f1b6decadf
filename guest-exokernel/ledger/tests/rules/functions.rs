//! Device functions: given, bound, mapped, released.

use exo_abi::function::REGISTER_PAGES;
use exo_abi::{EnvironmentId, Error, Rights};

use crate::machine::*;

#[test]
fn a_function_is_bound_once_until_it_is_freed() {
    let mut ledger = machine();
    let word = give_function(&mut ledger, 1, ONE);
    assert_eq!(ledger.check_bind(1), Ok(record(1)));
    ledger.commit_bind(word, 1);
    ledger.audit().unwrap();
    assert_eq!(ledger.check_bind(1), Err(Error::BadState));
    assert!(ledger.check_bind(2).is_ok());
    free(&mut ledger, ONE, word).unwrap();
    assert_eq!(ledger.function(1).unwrap().owner, EnvironmentId::NOBODY);
    assert_eq!(ledger.function(1).unwrap().bound, 0);
    ledger.audit().unwrap();
}

#[test]
fn functions_beyond_the_table_are_refused() {
    let mut ledger = machine();
    let before = snapshot(&ledger);
    assert_eq!(ledger.function(FUNCTIONS), Err(Error::OutOfRange));
    assert_eq!(ledger.check_bind(u32::MAX), Err(Error::OutOfRange));
    ledger.commit_bind(exo_abi::Capability::new(SLOTS as u32, 1), FUNCTIONS);
    ledger.give_function(FUNCTIONS, ONE);
    ledger.add_function(FUNCTIONS, record(0), ONE);
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn pages_are_refused_before_binding_then_if_executable_then_by_range() {
    let mut ledger = machine();
    let word = give_function(&mut ledger, 1, ONE);
    let answer = map(&mut ledger, ONE, word, (0, 1), Rights::MAPPING);
    assert_eq!(answer, Err(Error::BadState));
    ledger.commit_bind(word, 1);
    let answer = map(&mut ledger, ONE, word, (0, 1), Rights::MAPPING);
    assert_eq!(answer, Err(Error::NotPermitted));
    let (registers_1, doorbells_1) = (registers(1), doorbells(1));
    let outside = [
        (0, 1),
        (registers_1 - 1, 1),
        (registers_1, REGISTER_PAGES + 1),
        (registers_1 + REGISTER_PAGES, 1),
        (registers_1 + 1, u64::MAX),
        (doorbells_1, 3),
        (doorbells_1 + 2, 1),
        (record(1).msix >> 12, 1),
        (record(1).configuration >> 12, 1),
        (registers(2), 1),
        (doorbells(2), 1),
        (BLOCK, 1),
    ];
    let before = snapshot(&ledger);
    for pages in outside {
        let answer = map(&mut ledger, ONE, word, pages, Rights::READ_WRITE);
        assert_eq!(answer, Err(Error::OutOfRange), "{pages:?}");
    }
    let answer = map(&mut ledger, ONE, word, (registers_1, 0), Rights::READ);
    assert_eq!(answer, Err(Error::BadCount));
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn a_mapped_function_is_not_freed() {
    let mut ledger = machine();
    let word = give_function(&mut ledger, 1, ONE);
    ledger.commit_bind(word, 1);
    for pages in [(registers(1), REGISTER_PAGES), (doorbells(1), 2)] {
        let device = map(&mut ledger, ONE, word, pages, Rights::READ_WRITE);
        assert_eq!(device, Ok(true));
    }
    ledger.audit().unwrap();
    for page in (registers(1)..registers(1) + REGISTER_PAGES).chain([doorbells(1)]) {
        unmap(&mut ledger, word, page, true);
    }
    assert_eq!(free(&mut ledger, ONE, word), Err(Error::InUse));
    unmap(&mut ledger, word, doorbells(1) + 1, true);
    free(&mut ledger, ONE, word).unwrap();
    ledger.audit().unwrap();
}

#[test]
fn freeing_an_old_capability_takes_no_function_from_its_new_owner() {
    let mut ledger = machine();
    let old = give_function(&mut ledger, 1, ONE);
    let new = give_function(&mut ledger, 1, TWO);
    ledger.commit_bind(new, 1);
    ledger.commit_free(ONE, old);
    assert_eq!(ledger.function(1).unwrap().owner, TWO);
    assert_eq!(ledger.function(1).unwrap().bound, 1);
}

#[test]
fn an_ended_environment_loses_bound_and_mapped_functions() {
    let mut ledger = machine();
    let word = give_function(&mut ledger, 1, ONE);
    ledger.commit_bind(word, 1);
    map(&mut ledger, ONE, word, (registers(1), 1), Rights::READ).unwrap();
    ledger.record_exit(ONE, 0);
    take_everything_back(&mut ledger, ONE);
    let entry = *ledger.function(1).unwrap();
    assert_eq!((entry.owner, entry.bound), (EnvironmentId::NOBODY, 0));
    ledger.audit().unwrap();
}

#[test]
fn a_vector_is_routed_once_until_its_function_is_freed() {
    let mut ledger = machine();
    let word = give_function(&mut ledger, 1, ONE);
    let vectors = u64::from(record(1).vectors);
    assert_eq!(ledger.check_vector(ONE, word, 0), Err(Error::BadState));
    ledger.commit_bind(word, 1);
    assert_eq!(
        ledger.check_vector(ONE, word, vectors),
        Err(Error::BadArgument)
    );
    assert_eq!(
        ledger.check_vector(ONE, word, u64::MAX),
        Err(Error::BadArgument)
    );
    for vector in 0..vectors {
        assert_eq!(ledger.check_vector(ONE, word, vector), Ok((1, record(1))));
        ledger.commit_vector(1, vector, 3, 63);
        assert_eq!(ledger.check_vector(ONE, word, vector), Err(Error::BadState));
    }
    ledger.audit().unwrap();
    assert_eq!(ledger.take_route(1, 0), Some((3, 63)));
    assert_eq!(ledger.take_route(1, 0), None);
    assert_eq!(ledger.take_route(1, usize::MAX), None);
    assert!(ledger.check_vector(ONE, word, 0).is_ok());
    free(&mut ledger, ONE, word).unwrap();
    assert_eq!(ledger.function(1).unwrap().routes, [0; 12]);
}

#[test]
fn only_the_capability_that_bound_a_function_maps_it_and_routes_its_vectors() {
    let mut ledger = machine();
    let whole = give_function(&mut ledger, 1, ONE);
    let given = derive(&mut ledger, ONE, whole, (1, 1), Rights::READ_WRITE).unwrap();
    ledger.accept(TWO, 1).unwrap();
    let given = give(&mut ledger, ONE, given, TWO).unwrap();
    ledger.commit_bind(given, 1);
    ledger.audit().unwrap();
    assert_eq!(ledger.check_bind(1), Err(Error::BadState));
    let pages = (registers(1), 1);
    let answer = map(&mut ledger, ONE, whole, pages, Rights::READ);
    assert_eq!(answer, Err(Error::BadState));
    let answer = ledger.check_vector(ONE, whole, 0);
    assert_eq!(answer, Err(Error::BadState));
    assert!(ledger.check_vector(TWO, given, 0).is_ok());
    assert_eq!(give(&mut ledger, TWO, given, TWO), Err(Error::InUse));
    assert_eq!(revoke(&mut ledger, ONE, whole, 9), Ok(true));
    assert_eq!(ledger.function(1).unwrap().owner, ONE);
    assert_eq!(ledger.check_bind(1), Ok(record(1)));
    ledger.audit().unwrap();
}
