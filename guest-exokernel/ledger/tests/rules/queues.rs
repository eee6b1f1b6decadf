//! Queues of functions: derived, bound by themselves, routed, ended.

use exo_abi::function::REGISTER_PAGES;
use exo_abi::{Capability, Error, Kind, Rights};
use exo_ledger::Ledger;

use crate::machine::*;

/// Queue `first` and those after it, derived from a function of environment one.
fn queues(
    ledger: &mut Ledger,
    function: Capability,
    range: (u64, u64),
    rights: Rights,
) -> Result<Capability, Error> {
    let kind = Kind::Queue as u64;
    derive_kind(ledger, ONE, function, range, u64::from(rights.0), kind)
}

/// What the kernel does for `function_bind` of a queue.
fn bind(
    ledger: &mut Ledger,
    holder: exo_abi::EnvironmentId,
    capability: Capability,
) -> Result<(), Error> {
    let queue = ledger.check_bind_queue(holder, capability)?;
    ledger.commit_bind_queue(capability, queue);
    ledger.audit().unwrap();
    Ok(())
}

#[test]
fn a_queue_is_bound_once_and_only_while_its_function_is() {
    let mut ledger = machine();
    let function = give_function(&mut ledger, 1, ONE);
    let queue = queues(&mut ledger, function, (1, 1), Rights::READ_WRITE).unwrap();
    let again = queues(&mut ledger, function, (1, 1), Rights::READ_WRITE).unwrap();
    assert_eq!(bind(&mut ledger, ONE, queue), Err(Error::BadState));
    ledger.commit_bind(function, 1);
    bind(&mut ledger, ONE, queue).unwrap();
    assert_eq!(ledger.function(1).unwrap().queues, 2);
    assert_eq!(bind(&mut ledger, ONE, queue), Err(Error::BadState));
    assert_eq!(bind(&mut ledger, ONE, again), Err(Error::BadState));
    free(&mut ledger, ONE, queue).unwrap();
    assert_eq!(ledger.function(1).unwrap().queues, 0);
    bind(&mut ledger, ONE, again).unwrap();
}

#[test]
fn binding_a_queue_is_refused_by_holder_kind_rights_and_count() {
    let mut ledger = machine();
    let function = give_function(&mut ledger, 1, ONE);
    ledger.commit_bind(function, 1);
    let both = queues(&mut ledger, function, (0, 2), Rights::READ_WRITE).unwrap();
    let readable = queues(&mut ledger, function, (0, 1), Rights::READ).unwrap();
    for range in [(0, 3), (2, 1), (1, 2), (u64::MAX, 1), (0, u64::MAX)] {
        let answer = queues(&mut ledger, function, range, Rights::READ);
        assert_eq!(answer, Err(Error::OutOfRange), "{range:?}");
    }
    let before = snapshot(&ledger);
    assert_eq!(bind(&mut ledger, TWO, both), Err(Error::BadCapability));
    assert_eq!(bind(&mut ledger, ONE, function), Err(Error::WrongKind));
    assert_eq!(bind(&mut ledger, ONE, both), Err(Error::BadCount));
    assert_eq!(bind(&mut ledger, ONE, readable), Err(Error::NotPermitted));
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn a_bound_queue_has_its_own_vector_and_the_function_has_it_not() {
    let mut ledger = machine();
    let function = give_function(&mut ledger, 1, ONE);
    ledger.commit_bind(function, 1);
    let queue = queues(&mut ledger, function, (1, 1), Rights::READ_WRITE).unwrap();
    let answer = ledger.check_vector(ONE, queue, 2);
    assert_eq!(answer, Err(Error::BadState), "not bound");
    bind(&mut ledger, ONE, queue).unwrap();
    for vector in [0, 1, 3, u64::MAX] {
        let answer = ledger.check_vector(ONE, queue, vector);
        assert_eq!(answer, Err(Error::BadArgument));
    }
    let answer = ledger.check_vector(ONE, function, 2);
    assert_eq!(answer, Err(Error::BadState));
    assert!(ledger.check_vector(ONE, function, 1).is_ok());
    assert_eq!(ledger.check_vector(ONE, queue, 2), Ok((1, record(1))));
    ledger.commit_vector(1, 2, 0, 5);
    ledger.audit().unwrap();
    assert_eq!(ledger.check_vector(ONE, queue, 2), Err(Error::BadState));
    free(&mut ledger, ONE, queue).unwrap();
    assert_eq!(ledger.function(1).unwrap().routes[2], 0);
    assert!(ledger.check_vector(ONE, function, 2).is_ok());
    ledger.audit().unwrap();
}

#[test]
fn revoking_ends_the_binding_and_so_does_the_end_of_the_owner() {
    for by_end in [false, true] {
        let mut ledger = machine();
        let function = give_function(&mut ledger, 1, ONE);
        ledger.commit_bind(function, 1);
        ledger.accept(TWO, 1).unwrap();
        let queue = queues(&mut ledger, function, (0, 1), Rights::READ_WRITE).unwrap();
        let queue = give(&mut ledger, ONE, queue, TWO).unwrap();
        bind(&mut ledger, TWO, queue).unwrap();
        assert_eq!(give(&mut ledger, TWO, queue, ONE), Err(Error::InUse));
        assert_eq!(free(&mut ledger, ONE, function), Err(Error::InUse));
        if by_end {
            ledger.record_exit(ONE, 0);
            take_everything_back(&mut ledger, ONE);
        } else {
            assert_eq!(revoke(&mut ledger, ONE, function, 9), Ok(true));
        }
        let answer = ledger.check_bind_queue(TWO, queue);
        assert_eq!(answer, Err(Error::BadCapability));
        assert_eq!(ledger.function(1).unwrap().queues, 0);
        ledger.audit().unwrap();
    }
}

#[test]
fn a_bound_queue_maps_its_own_two_pages_and_no_others() {
    let mut ledger = machine();
    let function = give_function(&mut ledger, 1, ONE);
    ledger.commit_bind(function, 1);
    let queue = queues(&mut ledger, function, (1, 1), Rights::READ_WRITE).unwrap();
    let own = [registers(1) + REGISTER_PAGES + 1, doorbells(1) + 1];
    let answer = ledger.check_mapping(ONE, queue, own[0], 1, Rights::READ);
    assert_eq!(answer, Err(Error::BadState), "not bound");
    bind(&mut ledger, ONE, queue).unwrap();
    for page in own {
        let answer = ledger.check_mapping(ONE, queue, page, 1, Rights::READ_WRITE);
        assert_eq!(answer, Ok(true));
        let answer = ledger.check_mapping(ONE, queue, page, 1, Rights::READ_EXECUTE);
        assert_eq!(answer, Err(Error::NotPermitted));
        for (page, count) in [(page - 1, 1), (page + 1, 1), (page, 2), (page, u64::MAX)] {
            let answer = ledger.check_mapping(ONE, queue, page, count, Rights::READ);
            assert_eq!(answer, Err(Error::OutOfRange), "{page:#x}");
        }
    }
    for page in (registers(1)..registers(1) + REGISTER_PAGES).chain([record(1).msix >> 12]) {
        let answer = ledger.check_mapping(ONE, queue, page, 1, Rights::READ);
        assert_eq!(answer, Err(Error::OutOfRange));
    }
    let answer = ledger.check_mapping(ONE, function, own[0], 1, Rights::READ);
    assert_eq!(answer, Err(Error::OutOfRange), "nor does the function");
}
