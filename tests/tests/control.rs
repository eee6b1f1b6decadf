//! The control socket of a running machine, from outside: `exo ctl`.

use exo_tests::require_kvm;
use exo_tests::running::{NAME, Running};
use serde_json::Value;

/// An image that sleeps until it gets a line.
const SLEEPER: &[&str] = &["console-echo", "--interrupts"];

/// Waits until the machine's only environment sleeps.
fn start_sleeper() -> Running {
    let machine = Running::start(SLEEPER);
    machine.wait_until("the environment sleeps", |machine| {
        machine.snapshot()["environments"][0]["state"] == "waiting"
    });
    machine
}

#[test]
fn a_machine_is_listed_while_it_runs() {
    require_kvm!();
    let mut machine = start_sleeper();
    assert_eq!(machine.sockets(), [NAME]);
    let list = machine.ctl(&["list", "--json"]);
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(list[0]["name"], NAME);
    assert_eq!(list[0]["image"], SLEEPER[0]);
    assert_eq!(list[0]["process"], machine.process());
    let text = machine.ctl(&["list"]).stdout;
    assert!(text.lines().count() == 2 && text.contains(NAME), "{text}");
    let text = machine.ctl(&["status", "--name", NAME]).stdout;
    assert!(text.contains("echo") && text.contains("waiting"), "{text}");
    machine.type_in("exit\n");
    assert_eq!(machine.finish().status, 0);
    assert!(machine.sockets().is_empty());
    let list = machine.ctl(&["list"]);
    assert_eq!(list.stdout.lines().count(), 1, "{}", list.stdout);
}

#[test]
fn looking_costs_the_guest_nothing() {
    require_kvm!();
    let machine = start_sleeper();
    let before = machine.snapshot();
    for _ in 0..100 {
        let top = machine.top(&["--json"]).stdout;
        let now: Value = serde_json::from_str(&top).unwrap();
        assert_eq!(now["machine"]["consistent"], true);
        assert_eq!(
            now["machine"]["vm_exits"], before["machine"]["vm_exits"],
            "{now}"
        );
        for table in ["summary", "vcpus", "environments", "functions"] {
            assert_eq!(now[table], before[table], "{now}");
        }
    }
}

#[test]
fn top_prints_once_or_wants_a_terminal() {
    require_kvm!();
    let machine = start_sleeper();
    let once = machine.top(&["--once"]);
    assert_eq!(once.status, 0, "{}", once.stderr);
    for word in [NAME, "ENVIRONMENT", "waiting", "FUNCTION", "terminal"] {
        assert!(once.stdout.contains(word), "no {word} in\n{}", once.stdout);
    }
    let live = machine.top(&[]);
    assert_eq!((live.status, live.stdout.as_str()), (2, ""));
    assert!(live.stderr.contains("--once"), "{}", live.stderr);
    assert_eq!(machine.top(&["--interval", "0"]).status, 2);
}

#[test]
fn machines_that_are_not_there_are_told() {
    require_kvm!();
    let mut machine = start_sleeper();
    let wrong = machine.ctl(&["status", "--name", "other"]);
    assert_eq!((wrong.status, wrong.stdout.as_str()), (66, ""));
    assert!(wrong.stderr.contains("other"), "{}", wrong.stderr);
    let bad = machine.ctl(&["status", "--name", "../tested"]);
    assert_eq!(bad.status, 2, "{}", bad.stderr);
    // What a killed machine leaves is found out, and removed.
    machine.kill();
    assert_eq!(machine.sockets(), [NAME]);
    assert_eq!(machine.ctl(&["status", "--name", NAME]).status, 66);
    assert_eq!(machine.ctl(&["status"]).status, 66);
    assert!(machine.sockets().is_empty());
}

#[test]
fn a_machine_without_a_socket_is_not_found() {
    require_kvm!();
    let outcome = exo_tests::Machine::new("hello")
        .option("--no-control")
        .run();
    assert_eq!(outcome.status(), 0, "{}", outcome.describe());
    assert_eq!(outcome.stderr(), "");
}
