//! What the host lacks, and how a test says that it was skipped for it.

use std::fs::OpenOptions;
use std::io::Write as _;

/// Why machines cannot run here, if they cannot.
pub fn kvm_missing() -> Option<String> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .err()
        .map(|error| format!("/dev/kvm: {error}"))
}

/// Whether this runs inside `scripts/nested`.
pub fn is_nested() -> bool {
    std::env::var("EXO_HOST_KIND").is_ok_and(|kind| kind == "nested")
}

/// Reports that the running test was skipped, and where `EXO_SKIPS` names a file, adds a line to it, so that
/// `scripts/test` can count. With `EXO_NO_SKIP` set the test fails instead.
pub fn skip(reason: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(
        std::env::var_os("EXO_NO_SKIP").is_none(),
        "{name} may not be skipped here, but: {reason}"
    );
    let line = format!("SKIPPED {name}: {reason}\n");
    // Not `eprint!`: the test runner would keep that to itself, as the test passes. Nothing can be done if this fails.
    let _ = std::io::stderr().write_all(line.as_bytes());
    note("EXO_SKIPS", &line);
}

/// Tells that a machine has run, so that `scripts/test` can fail where none has.
pub fn note_machine(image: &str) {
    note("EXO_MACHINES", &format!("{image}\n"));
}

/// Adds a line to the file that this variable names, if it does.
fn note(variable: &str, line: &str) {
    if let Some(path) = std::env::var_os(variable) {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .unwrap_or_else(|error| panic!("the file that {variable} names: {error}"));
    }
}

/// Ends the test here, as skipped, where machines cannot run.
#[macro_export]
macro_rules! require_kvm {
    () => {
        if let Some(reason) = $crate::host::kvm_missing() {
            $crate::host::skip(&reason);
            return;
        }
    };
}
