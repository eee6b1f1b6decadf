//! busybox's own test suite: what passes on the host passes here. `scripts/busybox-suite` runs all of it.

use exo_tests::busybox::Suite;
use exo_tests::linux::MODES;
use exo_tests::require_kvm;

/// Applets whose tests are quick enough to be run each time, of all kinds: text, files, archives, processes.
const APPLETS: &[&str] = &[
    "ar", "basename", "cat", "cpio", "cut", "date", "expr", "find", "gunzip", "head", "ln", "ls",
    "mdev", "mkdir", "mv", "pidof", "printf", "readlink", "rm", "tar", "tee", "touch", "tr",
    "uniq", "wc", "xargs",
];

#[test]
fn tests_of_busybox_end_as_on_the_host() {
    require_kvm!();
    let applets: Vec<String> = APPLETS.iter().map(|&applet| applet.to_owned()).collect();
    for counts in Suite::new().compare(&applets, &MODES) {
        assert!(counts.host > 0, "some tests pass on the host");
        assert!(counts.differences.is_empty(), "{counts:#?}");
    }
}
