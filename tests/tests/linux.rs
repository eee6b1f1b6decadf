//! Unmodified static Linux programs in the Linux personality: what they print and how they end is what the host's Linux makes of them.

use std::path::Path;
use std::process::Command;

use exo_tests::linux::{MODES, build, busybox};
use exo_tests::{Machine, require_kvm};

/// Runs a program on the host and here in each mode, and compares what it prints and its status.
fn compare(program: &Path, arguments: &[&str]) {
    let host = Command::new(program)
        .args(arguments)
        .env_clear()
        .output()
        .expect("the program runs on the host");
    for mode in MODES {
        let mut machine = Machine::new(program).option("--mode").option(mode);
        for argument in arguments {
            machine = machine.argument(*argument);
        }
        let outcome = machine.run();
        assert_eq!(
            (outcome.stdout(), outcome.stderr(), outcome.status()),
            (
                String::from_utf8_lossy(&host.stdout).as_ref(),
                String::from_utf8_lossy(&host.stderr).as_ref(),
                host.status.code().unwrap_or(-1)
            ),
            "mode {mode}\n{}",
            outcome.describe()
        );
    }
}

/// Builds one of `tests/linux`, and compares it.
fn compare_program(name: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    compare(&build(folder.path(), name), &[]);
}

#[test]
fn busybox_does_what_it_does_on_the_host() {
    require_kvm!();
    for words in [
        &["echo", "some", "words"][..],
        &["seq", "1", "3", "400"],
        &["printf", "%05d %s\\n", "42", "x"],
        &["expr", "6", "*", "7"],
        &["factor", "1234567890123"],
        &["sha256sum", "/dev/null"],
        &[
            "awk",
            "BEGIN { for (i = 0; i < 20; i++) s += sin(i); printf \"%.12f\\n\", s }",
        ],
        &[
            "sh",
            "-c",
            "i=0; while [ $i -lt 500 ]; do i=$((i+1)); done; echo $i; exit 3",
        ],
        &["false"],
        &["ls", "/nowhere"],
    ] {
        compare(&busybox(), words);
    }
}

#[test]
fn a_program_is_found_by_a_relative_path_and_stands_in_the_root_directory() {
    require_kvm!();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = build(folder.path(), "itself");
    let place = program.parent().and_then(Path::to_str).expect("it is text");
    for mode in MODES {
        let outcome = Machine::new("./itself")
            .under(&["sh", "-c", "cd \"$0\" && exec \"$@\"", place])
            .option("--mode")
            .option(mode)
            .run()
            .expect_status(0);
        assert_eq!(
            outcome.stdout(),
            "/itself, called ./itself\n/itself, called again\n"
        );
    }
}

#[test]
fn a_c_program_works_with_files_and_memory_as_on_the_host() {
    require_kvm!();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    compare(&build(folder.path(), "files"), &["one", "two"]);
}

#[test]
fn private_memory_is_as_on_the_host() {
    require_kvm!();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = build(folder.path(), "memory");
    for mode in MODES {
        let outcome = Machine::new(&program).option("--mode").option(mode).run();
        let host = Command::new(&program)
            .output()
            .expect("it runs on the host");
        assert_eq!(
            outcome.stdout(),
            String::from_utf8_lossy(&host.stdout),
            "mode {mode}\n{}",
            outcome.describe()
        );
        outcome.expect_status(139);
    }
}

#[test]
fn memory_in_blocks_is_changed_in_parts_as_on_the_host() {
    require_kvm!();
    compare_program("blocks");
}

#[test]
fn mappings_that_move_and_advice_are_as_on_the_host() {
    require_kvm!();
    compare_program("remap");
}

#[test]
fn pipes_sockets_and_event_files_behave_as_on_the_host() {
    require_kvm!();
    for name in [
        "pipes",
        "sockets",
        "waits",
        "locks",
        "signalfiles",
        "between",
    ] {
        compare_program(name);
    }
}

/// Compares standard output: what the personality says of crashes goes to standard error.
fn compare_output(name: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = build(folder.path(), name);
    let host = Command::new(&program)
        .env_clear()
        .output()
        .expect("it runs on the host");
    for mode in MODES {
        let outcome = Machine::new(&program).option("--mode").option(mode).run();
        assert_eq!(
            (outcome.stdout(), outcome.status()),
            (String::from_utf8_lossy(&host.stdout).as_ref(), 0),
            "mode {mode}\n{}",
            outcome.describe()
        );
    }
}

#[test]
fn processes_are_made_and_awaited_as_on_the_host() {
    require_kvm!();
    compare_output("processes");
}

#[test]
fn processes_find_nothing_of_those_before_them() {
    require_kvm!();
    compare_output("successors");
}

#[test]
fn processor_time_is_that_of_the_process() {
    require_kvm!();
    compare_output("usage");
}

#[test]
fn programs_are_executed_as_on_the_host() {
    require_kvm!();
    compare_output("execution");
}

#[test]
fn a_system_call_keeps_registers_and_red_zone() {
    require_kvm!();
    compare_program("registers");
}

#[test]
fn threads_wait_for_each_other_as_on_the_host() {
    require_kvm!();
    compare_program("threads");
}

#[test]
fn signals_come_and_interrupt_as_on_the_host() {
    require_kvm!();
    compare_program("signals");
}

#[test]
fn timers_and_turns_come_in_the_midst_of_computing() {
    require_kvm!();
    compare_program("timers");
}

#[test]
fn an_event_is_not_lost_at_the_end_of_a_call() {
    require_kvm!();
    compare_program("events");
}

#[test]
fn processes_switch_by_turns_and_beside_one_that_computes() {
    require_kvm!();
    compare_program("switches");
}

#[test]
fn signals_go_between_processes_as_on_the_host() {
    require_kvm!();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = build(folder.path(), "signals_between");
    // What `exo` says of the child that crashes is not the host's.
    let host = Command::new(&program)
        .output()
        .expect("the program runs on the host");
    for mode in MODES {
        let outcome = Machine::new(&program)
            .option("--mode")
            .option(mode)
            .run()
            .expect_status(0);
        assert_eq!(
            outcome.stdout(),
            String::from_utf8_lossy(&host.stdout),
            "mode {mode}"
        );
    }
}

/// The numbers of the line that `--stats` prints: calls, traps, rewritten, found late, left.
fn statistics(text: &str) -> [u64; 5] {
    let line = text
        .lines()
        .find(|line| line.starts_with("linux: ") && line.contains("sites"));
    let line = line.unwrap_or_else(|| panic!("no statistics in {text}"));
    let numbers: Vec<u64> = line
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    numbers.try_into().expect("five numbers")
}

#[test]
fn calls_of_rewritten_sites_take_no_trap() {
    require_kvm!();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = build(folder.path(), "files");
    let run = |mode: &str| {
        let machine = Machine::new(&program)
            .option("--stats")
            .option("--mode")
            .option(mode);
        statistics(machine.run().expect_status(42).stderr())
    };
    let [calls, traps, rewritten, late, _] = run("trap");
    assert_eq!((traps, rewritten, late), (calls, 0, 0));
    let [calls, traps, rewritten, ..] = run("call");
    assert!(
        rewritten > 50 && traps * 100 <= calls,
        "{traps} traps of {calls} calls, {rewritten} sites"
    );
}

#[test]
fn code_that_appears_late_is_found_and_counted() {
    require_kvm!();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = build(folder.path(), "late");
    compare(&program, &[]);
    let outcome = Machine::new(&program).option("--stats").run();
    let [_, traps, _, late, left] = statistics(outcome.expect_status(0).stderr());
    // Written again, its children's and a library's are each found once; two of its functions may be written while they are executed, and
    // trap each of their thousand times.
    assert!(late >= 5 && left >= 2, "{late} found late, {left} left");
    assert!(traps <= 2010, "{traps} traps");
}

#[test]
fn clocks_are_read_without_a_call() {
    require_kvm!();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = build(folder.path(), "clocks");
    compare(&program, &[]);
    let machine = Machine::new(&program).option("--stats").argument("100000");
    let [calls, ..] = statistics(machine.run().expect_status(0).stderr());
    assert!(calls < 100, "{calls} calls");
}

#[test]
fn a_null_pointer_ends_the_program_as_a_shell_reports_it() {
    require_kvm!();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let program = build(folder.path(), "null");
    for mode in MODES {
        let outcome = Machine::new(&program)
            .option("--mode")
            .option(mode)
            .run()
            .expect_status(139);
        assert!(
            outcome.stderr().contains("signal 11"),
            "{}",
            outcome.describe()
        );
    }
}

#[test]
fn a_dynamic_program_is_refused_with_a_reason() {
    require_kvm!();
    let program = std::env::current_exe().expect("this test is a program");
    let outcome = Machine::new(program).run().expect_status(126);
    assert!(
        outcome
            .stderr()
            .contains("dynamically linked; link it with -static"),
        "{}",
        outcome.describe()
    );
}

#[test]
fn every_operation_that_is_compared_with_the_host_is_there() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let program = build(folder.path(), "compare");
    let outcome = Machine::new(&program).run().expect_status(0);
    let lines: Vec<_> = outcome.stdout().lines().collect();
    assert_eq!(lines.len(), 20, "{}", outcome.stdout());
    for line in lines {
        let time = line
            .split(' ')
            .nth(1)
            .and_then(|time| time.parse::<f64>().ok());
        assert!(time.is_some(), "{line}");
    }
}
