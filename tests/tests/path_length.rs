//! Path lengths of the kernel: the committed table, on every run the same.

use exo_tests::path_length::{PATHS, measure, table_file, table_line};
use exo_tests::{host, perf};

#[test]
fn path_lengths_equal_the_committed_table() {
    if let Some(reason) = perf::missing() {
        host::skip(&reason);
        return;
    }
    let counted: Vec<String> = PATHS
        .iter()
        .map(|path| table_line(&measure(path)))
        .collect();
    let committed = std::fs::read_to_string(table_file()).expect("the table is committed");
    let committed: Vec<&str> = committed.lines().collect();
    assert_eq!(
        counted, committed,
        "path lengths differ from tests/path-lengths.txt; if that is meant: scripts/path-length --write, and the README's table"
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
