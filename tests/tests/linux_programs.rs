//! Programs that nobody here wrote, or their run-time libraries: SQLite, Lua, and the libraries of Rust, Go and C++. What they print
//! and how they end is what the host's Linux makes of them. `scripts/setup` installs what they are built with.

use std::path::{Path, PathBuf};
use std::process::Command;

use exo_tests::linux::MODES;
use exo_tests::{Machine, home, require_kvm};

/// Where the sources are.
fn source(name: &str) -> PathBuf {
    home::home().join("tests/linux/programs").join(name)
}

/// Builds a program; `words` are the compiler and its options, sources and output excepted.
fn build(folder: &Path, words: &[&str], name: &str, libraries: &[&str]) -> PathBuf {
    let program = folder.join("program");
    let [compiler, options @ ..] = words else {
        panic!("no compiler");
    };
    let done = Command::new(compiler)
        .args(options)
        .arg("-o")
        .arg(&program)
        .arg(source(name))
        .args(libraries)
        // What Go keeps of what it has built.
        .env("GOCACHE", folder.join("cache"))
        .env("GO111MODULE", "off")
        .env("CGO_ENABLED", "0")
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}; scripts/setup installs it"));
    assert!(
        done.status.success(),
        "{name} does not build: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    program
}

/// Runs a program on the host and here, in both modes; it finds `root` as its root file system here, and is in it there.
fn compare(program: &Path, arguments: &[&str], inputs: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::copy(program, root.join("program")).unwrap();
    for input in inputs {
        std::fs::copy(source(input), root.join(input)).unwrap();
    }
    let machines = MODES.map(|mode| {
        let machine = Machine::new("/program")
            .option("--root")
            .option(&root)
            .option("--mode")
            .option(mode);
        let mut machines = arguments
            .iter()
            .fold(machine, |machine, word| machine.argument(*word));
        machines = machines.option("--memory").option("2 GiB");
        (mode, machines.run())
    });
    let host = Command::new(root.join("program"))
        .args(arguments)
        .current_dir(&root)
        .env_clear()
        .output()
        .unwrap();
    for (mode, outcome) in machines {
        assert_eq!(
            (outcome.stdout(), outcome.status()),
            (
                String::from_utf8_lossy(&host.stdout).as_ref(),
                host.status.code().unwrap_or(-1)
            ),
            "mode {mode}\n{}",
            outcome.describe()
        );
    }
}

#[test]
fn sqlite_keeps_a_hundred_thousand_rows() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let libraries = ["-lsqlite3", "-lm", "-lpthread", "-ldl"];
    let program = build(
        folder.path(),
        &["cc", "-O2", "-static", "-w"],
        "database.c",
        &libraries,
    );
    compare(&program, &["rows.db", "100000"], &[]);
}

#[test]
fn lua_runs_its_script() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let words = ["cc", "-O2", "-static", "-w", "-I/usr/include/lua5.4"];
    let program = build(
        folder.path(),
        &words,
        "script.c",
        &["-llua5.4", "-lm", "-ldl"],
    );
    compare(&program, &["script.lua"], &["script.lua"]);
}

#[test]
fn exceptions_and_threads_of_cpp_are_caught_and_joined() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let program = build(
        folder.path(),
        &["g++", "-O2", "-static", "-pthread"],
        "exceptions.cc",
        &[],
    );
    compare(&program, &[], &[]);
}

#[test]
fn threads_and_channels_of_rust_work() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "rustc",
        "-O",
        "--edition=2024",
        "-Ctarget-feature=+crt-static",
    ];
    let program = build(folder.path(), &words, "channels.rs", &[]);
    compare(&program, &[], &[]);
}

#[test]
fn goroutines_and_their_garbage_collector_work() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let program = build(folder.path(), &["go", "build"], "goroutines.go", &[]);
    compare(&program, &[], &[]);
}
