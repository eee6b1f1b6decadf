//! Records of environments: states, ends, counters, page-table quotas.

use exo_abi::environment::{AbortReason, State};
use exo_abi::{Call, EnvironmentId, Error};

use crate::machine::*;

#[test]
fn nobody_the_kernel_and_absent_numbers_have_no_record() {
    let ledger = machine();
    for id in [
        EnvironmentId::NOBODY,
        EnvironmentId::KERNEL,
        EnvironmentId(NUMBERS + 1),
    ] {
        assert_eq!(ledger.environment(id), Err(Error::BadArgument));
        assert_eq!(ledger.check_capability_quota(id), Err(Error::BadArgument));
        assert_eq!(ledger.check_frames_quota(id, 1), Err(Error::BadArgument));
        assert_eq!(ledger.check_tables_quota(id, 1), Err(Error::BadArgument));
    }
}

#[test]
fn changes_to_absent_numbers_change_nothing() {
    let mut ledger = machine();
    let before = snapshot(&ledger);
    for id in [
        EnvironmentId::NOBODY,
        EnvironmentId::KERNEL,
        EnvironmentId(NUMBERS + 1),
    ] {
        ledger.add_environment(id, &[0; 32], 0, QUOTAS);
        ledger.record_exit(id, 1);
        ledger.record_abort(id, AbortReason::NoUpcall, [1; 4]);
        ledger.set_state(id, State::Waiting);
        ledger.count_call(id, Call::PageMap);
        ledger.count_interrupt(id);
        ledger.add_tables(id, 1);
        ledger.remove_tables(id, 1);
    }
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn a_new_environment_is_runnable_with_its_quotas() {
    let ledger = machine();
    let entry = ledger.environment(TWO).unwrap();
    assert_eq!(entry.state, State::Runnable as u32);
    assert_eq!(entry.frames_quota, QUOTAS.frames);
    assert_eq!(entry.tables_quota, QUOTAS.tables);
    assert_eq!(entry.capabilities_quota, QUOTAS.capabilities);
    assert_eq!(entry.dma_mappings_quota, QUOTAS.dma_mappings);
    assert_eq!(ledger.tables().summary.environments_alive, 3);
}

#[test]
fn starting_twice_counts_once() {
    let mut ledger = machine();
    let before = snapshot(&ledger);
    let other = exo_ledger::Quotas {
        frames: u32::MAX,
        ..QUOTAS
    };
    ledger.add_environment(ONE, &[b'x'; 32], 5, other);
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn the_first_end_counts() {
    let mut ledger = machine();
    ledger.record_exit(ONE, 7);
    ledger.record_abort(TWO, AbortReason::NestedFault, [14, 2, 0x40_0000, 8]);
    let before = snapshot(&ledger);
    ledger.record_abort(ONE, AbortReason::NoUpcall, [1; 4]);
    ledger.record_exit(ONE, 8);
    ledger.record_exit(TWO, 9);
    assert_eq!(snapshot(&ledger), before);
    let one = ledger.environment(ONE).unwrap();
    assert_eq!((one.state, one.exit_status), (State::Exited as u32, 7));
    let two = ledger.environment(TWO).unwrap();
    assert_eq!(two.state, State::Aborted as u32);
    assert_eq!(two.abort_reason, AbortReason::NestedFault as u32);
    assert_eq!((two.abort_vector, two.abort_error_code), (14, 2));
    assert_eq!((two.abort_instruction, two.abort_address), (0x40_0000, 8));
    assert_eq!(ledger.tables().summary.environments_alive, 1);
    ledger.audit().unwrap();
}

#[test]
fn states_change_only_between_runnable_and_waiting() {
    let mut ledger = machine();
    ledger.set_state(ONE, State::Waiting);
    assert_eq!(
        ledger.environment(ONE).unwrap().state,
        State::Waiting as u32
    );
    for state in [State::Absent, State::Exited, State::Aborted] {
        ledger.set_state(ONE, state);
        assert_eq!(
            ledger.environment(ONE).unwrap().state,
            State::Waiting as u32
        );
    }
    ledger.set_state(ONE, State::Runnable);
    assert_eq!(
        ledger.environment(ONE).unwrap().state,
        State::Runnable as u32
    );
    ledger.record_exit(ONE, 0);
    ledger.set_state(ONE, State::Runnable);
    assert_eq!(ledger.environment(ONE).unwrap().state, State::Exited as u32);
    ledger.audit().unwrap();
}

#[test]
fn page_tables_are_charged_and_given_back() {
    let mut ledger = machine();
    assert_eq!(ledger.check_tables_quota(ONE, QUOTAS.tables), Ok(()));
    assert_eq!(
        ledger.check_tables_quota(ONE, QUOTAS.tables + 1),
        Err(Error::Quota)
    );
    ledger.add_tables(ONE, 1);
    assert_eq!(
        ledger.check_tables_quota(ONE, QUOTAS.tables),
        Err(Error::Quota)
    );
    assert_eq!(ledger.check_tables_quota(ONE, u32::MAX), Err(Error::Quota));
    assert_eq!(ledger.tables().summary.free_tables, TABLE_POOL - 1);
    ledger.audit().unwrap();
    ledger.remove_tables(ONE, 1);
    ledger.remove_tables(ONE, 1);
    assert_eq!(ledger.tables().summary.free_tables, TABLE_POOL);
    ledger.audit().unwrap();
}

#[test]
fn frames_quota_does_not_wrap() {
    let ledger = machine();
    assert_eq!(
        ledger.check_frames_quota(ONE, u64::from(QUOTAS.frames)),
        Ok(())
    );
    for count in [u64::from(QUOTAS.frames) + 1, 1 << 32, u64::MAX] {
        assert_eq!(ledger.check_frames_quota(ONE, count), Err(Error::Quota));
    }
}

#[test]
fn calls_and_interrupts_are_counted() {
    let mut ledger = machine();
    for call in Call::ALL {
        ledger.count_call(TWO, *call);
    }
    ledger.count_call(TWO, Call::PageUnmap);
    ledger.count_interrupt(TWO);
    let entry = ledger.environment(TWO).unwrap();
    for call in Call::ALL {
        let expected = 1 + u64::from(*call == Call::PageUnmap);
        assert_eq!(entry.calls[call.index()], expected);
    }
    assert_eq!(entry.interrupts, 1);
}
