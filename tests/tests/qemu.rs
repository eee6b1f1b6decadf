//! The same kernel boots with no exo around it.

use std::process::Command;

use exo_tests::{home, host, process};

#[test]
fn hello_greets_under_qemu() {
    if Command::new("qemu-system-x86_64")
        .arg("--version")
        .output()
        .is_err()
    {
        host::skip("qemu-system-x86_64 is missing; scripts/setup installs it");
        return;
    }
    home::exo();
    for machine in ["q35", "microvm"] {
        let finished = process::run(Command::new(home::home().join("scripts/qemu")).args([
            "--machine",
            machine,
            "hello",
            "an-argument",
        ]));
        assert_eq!(finished.status, 0, "{machine}: {finished:?}");
        assert!(
            finished.stdout.to_lowercase().contains("hello"),
            "{machine}: {finished:?}"
        );
        assert!(
            finished.stdout.contains("an-argument"),
            "{machine}: {finished:?}"
        );
    }
}
