//! What is told of the calls of Linux programs: the table of those there are, and each that is made.

use std::process::Command;

use exo_tests::{Machine, home, linux, process, require_kvm};

#[test]
fn the_table_lists_calls_by_number() {
    require_kvm!();
    let mut command = Command::new(home::exo());
    command
        .args(["linux", "calls"])
        .env("EXO_HOME", home::home());
    let finished = process::run(&mut command);
    assert_eq!(finished.status, 0, "{}", finished.stderr);
    let rows: Vec<Vec<&str>> = finished
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["number", "arguments", "name"]);
    assert_eq!(rows[1], ["0", "3", "read"]);
    assert!(rows.contains(&vec!["291", "1", "epoll_create1"]));
    let numbers = rows[1..]
        .iter()
        .map(|row| row[0].parse::<u64>().expect("a number"));
    assert!(numbers.is_sorted(), "{}", finished.stdout);
}

/// Calls that wait, that end the program or let others end it, or that take from it what it runs on. The program does not make them.
const NOT_MADE: &[&str] = &[
    "pause",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "nanosleep",
    "clock_nanosleep",
    "futex",
    "wait4",
    "waitid",
    "exit",
    "exit_group",
    "execve",
    "execveat",
    "fork",
    "vfork",
    "clone",
    "clone3",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "rt_sigreturn",
    "rt_sigaction",
    "sigaltstack",
    "alarm",
    "setitimer",
    "timer_create",
    "timer_settime",
    "arch_prctl",
    "mmap",
    "munmap",
    "brk",
    "close",
    "close_range",
    "dup2",
    "dup3",
    "set_robust_list",
    "setrlimit",
    "prctl",
];

#[test]
fn bad_arguments_harm_nobody() {
    require_kvm!();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = linux::build(folder.path(), "bad_arguments");
    let mut table = Command::new(home::exo());
    table.args(["linux", "calls"]).env("EXO_HOME", home::home());
    let table = process::run(&mut table);
    let rows = table
        .stdout
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let numbers: Vec<String> = rows
        .filter(|row| !NOT_MADE.contains(&row[2]))
        .map(|row| row[0].to_owned())
        .collect();
    assert!(numbers.len() > 50, "{}", table.stdout);
    for (mode, seed, rounds) in [
        ("call", "1", "20000"),
        ("call", "2", "20000"),
        ("trap", "3", "2000"),
    ] {
        let mut machine = Machine::new(&program)
            .option("--mode")
            .option(mode)
            .argument(seed)
            .argument(rounds);
        for number in &numbers {
            machine = machine.argument(number);
        }
        let outcome = machine.run().expect_status(0);
        assert!(
            outcome.stdout().ends_with(&format!("done {rounds}\n")),
            "{}",
            outcome.describe()
        );
    }
}

#[test]
fn calls_are_printed_as_strace_prints_them() {
    require_kvm!();
    let outcome = Machine::new("/bin/busybox")
        .option("--strace")
        .argument("sh")
        .argument("-c")
        .argument("echo 'a \"b\"' >/tmp/x; umask 27; cd /nowhere; exit 3")
        .run()
        .expect_status(3);
    // Blanks put results below each other.
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let printed: Vec<String> = outcome.stderr().lines().map(words).collect();
    for line in [
        "openat(AT_FDCWD, \"/tmp/x\", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3",
        "write(1, \"a \\\"b\\\"\\n\", 6) = 6",
        "umask(027) = 022",
        "chdir(\"/nowhere\") = -1 ENOENT (No such file or directory)",
        "exit_group(3) = ?",
    ] {
        assert!(
            printed.iter().any(|other| other == line),
            "no {line} in\n{printed:#?}"
        );
    }
}
