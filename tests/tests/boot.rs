//! A machine starts, its program gets its arguments, and its exit status is the command's.

use exo_tests::{Machine, outcome::End, require_kvm};

#[test]
fn hello_greets_and_ends_with_zero() {
    require_kvm!();
    let outcome = Machine::new("hello").run().expect_status(0);
    assert!(
        outcome.stdout().to_lowercase().contains("hello"),
        "{}",
        outcome.describe()
    );
    outcome.expect_end("hello", &End::Exited(0));
}

#[test]
fn arguments_reach_the_program() {
    require_kvm!();
    let outcome = Machine::new("hello")
        .argument("one")
        .argument("two words")
        .argument("--not-an-option")
        .run()
        .expect_status(0);
    for argument in ["one", "two words", "--not-an-option"] {
        assert!(
            outcome.stdout().contains(argument),
            "no {argument:?}\n{}",
            outcome.describe()
        );
    }
}

#[test]
fn the_exit_status_of_the_program_is_that_of_exo() {
    require_kvm!();
    for status in [0, 1, 7, 119] {
        let outcome = Machine::new("exit")
            .argument(status.to_string())
            .run()
            .expect_status(status);
        outcome.expect_end("exit", &End::Exited(status as u64));
    }
}

#[test]
fn a_status_that_is_too_large_is_capped_and_reported_whole() {
    require_kvm!();
    let outcome = Machine::new("exit")
        .argument("300")
        .run()
        .expect_status(119);
    outcome.expect_end("exit", &End::Exited(300));
}

#[test]
fn hello_runs_with_several_processors_and_sizes_of_memory() {
    require_kvm!();
    for (vcpus, memory) in [(1, "16 MiB"), (2, "64 MiB"), (4, "1 GiB")] {
        Machine::new("hello")
            .vcpus(vcpus)
            .memory(memory)
            .run()
            .expect_status(0);
    }
}

#[test]
fn memory_above_the_device_hole_is_usable() {
    require_kvm!();
    Machine::new("hello").memory("5 GiB").run().expect_status(0);
}

#[test]
fn the_report_has_timings_versions_and_host() {
    require_kvm!();
    let outcome = Machine::new("hello").run().expect_status(0);
    let report = outcome.report();
    let first = report.number("/timings/first_instruction_us");
    let total = report.number("/timings/total_us");
    assert!(
        first > 0 && first < total,
        "{first} {total}\n{}",
        outcome.describe()
    );
    assert!(report.value("/host/kind").is_string());
    assert!(report.value("/versions/exo").is_string());
}
