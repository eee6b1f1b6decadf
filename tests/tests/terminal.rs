//! Standard input and output of Linux programs: streams, and the terminal.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use exo_tests::terminal::{Step, run};
use exo_tests::{Machine, home, process, require_kvm};

/// Builds one of `tests/linux`.
fn build(folder: &Path, name: &str) -> PathBuf {
    let source = home::home().join(format!("tests/linux/{name}.c"));
    let program = folder.join(name);
    let done = Command::new("cc")
        .args(["-O2", "-static", "-w", "-o"])
        .args([&program, &source])
        .status()
        .expect("cc is there");
    assert!(done.success(), "{} does not build", source.display());
    program
}

/// Runs a program on a terminal of the host's, and here on one, and compares all that they show.
fn compare(program: &Path, steps: &[(&str, Step)]) {
    let host = run(&[program.as_os_str()], steps);
    let exo = home::exo();
    for mode in ["--mode=call", "--mode=trap"] {
        let words = ["run", "--no-control", mode].map(OsStr::new);
        let words: Vec<&OsStr> = [exo.as_os_str()]
            .into_iter()
            .chain(words)
            .chain([program.as_os_str()])
            .collect();
        assert_eq!(run(&words, steps), host, "{mode}");
    }
}

#[test]
fn lines_are_edited_as_on_the_host() {
    require_kvm!();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = build(folder.path(), "terminal");
    compare(
        &program,
        &[
            ("line>", Step::Type("abc\n")),
            ("erase>", Step::Type("abx\x7f\x7fyz\x01\x7f\n")),
            ("words>", Step::Type("one two  three \x17four\n")),
            ("kill>", Step::Type("junk\x15good\n")),
            ("literal>", Step::Type("a\x16\x03b\n")),
            ("end>", Step::Type("\x04")),
            ("end in a line>", Step::Type("abc\x04")),
            ("two lines>", Step::Type("first\nsecond\n")),
            ("no echo>", Step::Type("secret\n")),
            ("three>", Step::Type("\x03\r\x04")),
            ("resized>", Step::Resize(132, 43, "\n")),
        ],
    );
}

#[test]
fn keys_and_changes_of_size_are_signals_as_on_the_host() {
    require_kvm!();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = build(folder.path(), "keys");
    compare(
        &program,
        &[
            ("wait>", Step::Type("\x03")),
            ("read>", Step::Type("\x03")),
            ("<2>", Step::Type("line\n")),
            ("pause>", Step::Type("\x1c")),
            ("size>", Step::Resize(100, 30, "")),
            ("compute>", Step::Type("\x03")),
        ],
    );
}

#[test]
fn input_is_read_to_its_end() {
    require_kvm!();
    let input: String = (0..100_000)
        .map(|number| format!("{}\n", number * 7919 % 100_003))
        .collect();
    let outcome = Machine::new("/bin/busybox")
        .argument("sort")
        .argument("-n")
        .input(&input)
        .run()
        .expect_status(0);
    let mut numbers: Vec<u64> = (0..100_000).map(|number| number * 7919 % 100_003).collect();
    numbers.sort_unstable();
    let sorted: String = numbers.iter().map(|number| format!("{number}\n")).collect();
    assert!(outcome.stdout() == sorted);
}

#[test]
fn much_output_takes_few_exits() {
    require_kvm!();
    let outcome = Machine::new("/bin/busybox")
        .argument("seq")
        .argument("1")
        .argument("100000")
        .run()
        .expect_status(0);
    assert_eq!(outcome.stdout().lines().last(), Some("100000"));
    let exits = outcome.report().exits();
    assert!(
        exits < 2_000,
        "{exits} exits for {} bytes",
        outcome.stdout().len()
    );
}

#[test]
fn a_program_whose_output_nobody_reads_ends_by_a_signal() {
    require_kvm!();
    let exo = home::exo();
    let line = format!(
        "{{ '{}' run --no-control /bin/busybox yes; echo $? >&2; }} | head -n 2",
        exo.display()
    );
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).env("EXO_HOME", home::home());
    let finished = process::run(&mut command);
    assert_eq!(
        (finished.stdout.as_str(), finished.stderr.as_str()),
        ("y\ny\n", "141\n")
    );
}
