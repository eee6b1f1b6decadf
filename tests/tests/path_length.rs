//! Path lengths of the kernel: the README's table, on every run the same, and the same among many environments.

use exo_tests::crowd::crowd;
use exo_tests::linux::build;
use exo_tests::path_length::{PATHS, TOLERANCE, committed_lengths, measure};
use exo_tests::{Guest, Machine, host, perf, require_kvm};

#[test]
fn no_path_differs_from_the_committed_table_by_more_than_a_twentieth() {
    if let Some(reason) = perf::missing() {
        host::skip(&reason);
        return;
    }
    let committed = committed_lengths();
    let names: Vec<_> = committed.iter().map(|(name, _)| name.as_str()).collect();
    let measured: Vec<_> = PATHS.iter().map(|path| path.name).collect();
    assert_eq!(
        measured, names,
        "the README's table has other rows; scripts/path-length --write"
    );
    let different: Vec<_> = PATHS
        .iter()
        .map(measure)
        .zip(&committed)
        .filter(|(now, (_, then))| (now.each() - then).abs() > then * TOLERANCE)
        .map(|(now, (name, then))| format!("{name}: {} now, {then} committed", now.text()))
        .collect();
    assert!(
        different.is_empty(),
        "{different:#?}; if that is meant: scripts/path-length --write"
    );
}

#[test]
fn path_lengths_are_the_same_on_every_run() {
    if let Some(reason) = perf::missing() {
        host::skip(&reason);
        return;
    }
    for path in PATHS.iter().filter(|path| path.goal.is_some()) {
        assert_eq!(measure(path), measure(path), "{}", path.name);
    }
}

/// Ring-0 instructions of a whole run of a crowd.
fn instructions(environments: u64, program: &str, argument: u64) -> u64 {
    let guest = Guest::copy(&[program]);
    let (outcome, count) = perf::count(&crowd(&guest, environments, 1, program, argument));
    outcome.expect_status(0);
    count
}

#[test]
fn a_yield_takes_as_many_instructions_among_a_hundred_as_among_two() {
    if let Some(reason) = perf::missing() {
        host::skip(&reason);
        return;
    }
    let yields_of_all = |environments, yields| instructions(environments, "yield-many", yields);
    let of_one = |environments| {
        let more = yields_of_all(environments, 12) - yields_of_all(environments, 10);
        assert!(more.is_multiple_of(environments * 2), "{more} in all");
        more / (environments * 2)
    };
    assert_eq!(of_one(100), of_one(2));
}

#[test]
fn an_environment_more_takes_no_more_instructions_among_many() {
    if let Some(reason) = perf::missing() {
        host::skip(&reason);
        return;
    }
    let [few, more, many] = [10, 60, 110].map(|environments| instructions(environments, "exit", 0));
    let (first, second) = (more - few, many - more);
    // Page tables and blocks are taken now for one environment, now for the next.
    assert!(
        second.abs_diff(first) < first / 100,
        "the first 50 took {first}, the next {second}"
    );
}

#[test]
fn a_byte_there_and_back_between_processes_costs_two_yields() {
    require_kvm!();
    if let Some(reason) = perf::missing() {
        host::skip(&reason);
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = build(folder.path(), "switches");
    let count = |rounds: u64| {
        let (outcome, count) = perf::count(&Machine::new(&program).argument(rounds.to_string()));
        outcome.expect_status(0);
        count
    };
    let (few, many) = (50, 2050);
    let each = count(many).saturating_sub(count(few)) / (many - few);
    // Two yields are 80. Where the machine is slow, slices end meanwhile, some hundreds each.
    assert!(each <= 400, "{each} ring-0 instructions");
}
