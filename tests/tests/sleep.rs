//! Sleeping on predicates: no wake-up is lost, nothing is polled, and vCPUs halt meanwhile.

use exo_tests::outcome::End;
use exo_tests::{Guest, Machine, Outcome, require_kvm};

/// As the image says.
const TURNS: u64 = 250;

fn calls(outcome: &Outcome, environment: &str, call: &str) -> u64 {
    let environment = outcome.report().environment(environment);
    environment["counters"]["kernel_entries"][call]
        .as_u64()
        .expect("a count")
}

/// Two pairs take turns; one wake-up that is lost would stop the machine for good.
fn take_turns(vcpus: u32) -> Outcome {
    let machine = Machine::new("sleep-turns").vcpus(vcpus);
    let outcome = machine.run().expect_status(0);
    for environment in ["1", "2", "3", "4"] {
        outcome.expect_end(environment, &End::Exited(0));
        assert_eq!(calls(&outcome, environment, "environment_wake"), TURNS);
        // Each turn asks once, and once more after a sleep: more would be polling.
        let sleeps = calls(&outcome, environment, "environment_sleep");
        assert!((TURNS..=2 * TURNS).contains(&sleeps), "{sleeps} sleeps");
    }
    outcome
}

#[test]
fn turns_on_one_vcpu() {
    require_kvm!();
    take_turns(1);
}

#[test]
fn turns_on_two_vcpus() {
    require_kvm!();
    take_turns(2);
}

#[test]
fn turns_on_four_vcpus() {
    require_kvm!();
    // Each has a vCPU for itself, which has nothing to do while it sleeps.
    let outcome = take_turns(4);
    let halts = outcome.report().number("/counters/kvm/halt_exits");
    assert!(halts > 0, "no vCPU has halted");
}

/// Pairs take turns while somebody computes on each vCPU, and never enters the kernel: who is woken has its turn all the same.
fn take_turns_beside_busy_ones(vcpus: u32) {
    const TURNS: u64 = 40;
    let mut text = "description = \"turns\"\nslice = \"1 ms\"\n".to_owned();
    for number in 1..=4 {
        text += &format!(
            "[[environment]]\nname = \"{number}\"\nprogram = \"sleep-turns\"\nconsole = true\narguments = [\"{TURNS}\"]\n"
        );
    }
    // In turns over the vCPUs, as all environments are.
    let busy: Vec<String> = (1..=vcpus).map(|number| format!("busy-{number}")).collect();
    for name in &busy {
        text += &format!("[[environment]]\nname = \"{name}\"\nprogram = \"spin-until\"\n");
    }
    let guest = Guest::copy(&["sleep-turns", "spin-until"]);
    let outcome = Machine::new(guest.manifest(&text))
        .guest(&guest)
        .vcpus(vcpus)
        .run()
        .expect_status(0);
    for environment in ["1", "2", "3", "4"] {
        outcome.expect_end(environment, &End::Exited(0));
        assert_eq!(calls(&outcome, environment, "environment_wake"), TURNS);
        let sleeps = calls(&outcome, environment, "environment_sleep");
        assert!((TURNS..=2 * TURNS).contains(&sleeps), "{sleeps} sleeps");
    }
    for name in &busy {
        let switches = outcome.report().counter(name, "forced_switches");
        assert!(switches > 0, "{name} was never switched by force");
    }
}

#[test]
fn turns_on_a_busy_vcpu() {
    require_kvm!();
    take_turns_beside_busy_ones(1);
}

#[test]
fn turns_on_two_busy_vcpus() {
    require_kvm!();
    take_turns_beside_busy_ones(2);
}

#[test]
fn turns_on_four_busy_vcpus() {
    require_kvm!();
    take_turns_beside_busy_ones(4);
}

#[test]
fn an_interrupt_ends_a_sleep() {
    require_kvm!();
    const SECTORS: u64 = 32;
    let outcome = Machine::new("sleep-interrupt").run().expect_status(0);
    assert_eq!(calls(&outcome, "sleep-interrupt", "environment_wait"), 0);
    let sleeps = calls(&outcome, "sleep-interrupt", "environment_sleep");
    assert!((SECTORS..=2 * SECTORS).contains(&sleeps), "{sleeps} sleeps");
}

/// Three environments sleep until moments; what they find is right, and they were woken once for each.
fn sleep_until(vcpus: u32) {
    let outcome = Machine::new("sleep-until")
        .vcpus(vcpus)
        .run()
        .expect_status(0);
    for (environment, count) in [("1", 20), ("2", 15), ("3", 10)] {
        outcome.expect_end(environment, &End::Exited(0));
        // Each asks once, and once more after a sleep: more would be polling.
        let sleeps = calls(&outcome, environment, "environment_sleep");
        assert!((count..=2 * count).contains(&sleeps), "{sleeps} sleeps");
    }
    let halts = outcome.report().number("/counters/kvm/halt_exits");
    assert!(halts > 0, "no vCPU has halted");
}

#[test]
fn moments_end_sleeps_on_one_vcpu() {
    require_kvm!();
    sleep_until(1);
}

#[test]
fn moments_end_sleeps_on_two_vcpus() {
    require_kvm!();
    sleep_until(2);
}
