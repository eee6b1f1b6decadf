//! Path lengths of the kernel: the README's table, on every run the same.

use exo_tests::path_length::{PATHS, committed_table, measure, table};
use exo_tests::{host, perf};

#[test]
fn path_lengths_equal_the_committed_table() {
    if let Some(reason) = perf::missing() {
        host::skip(&reason);
        return;
    }
    let counted: Vec<_> = PATHS.iter().map(measure).collect();
    assert_eq!(
        table(&counted),
        committed_table(),
        "path lengths differ from the README's table; if that is meant: scripts/path-length --write"
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
