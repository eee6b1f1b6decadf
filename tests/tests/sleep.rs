//! Sleeping on predicates: no wake-up is lost, nothing is polled, and vCPUs halt meanwhile.

use exo_tests::outcome::End;
use exo_tests::{Machine, Outcome, require_kvm};

/// As the image says.
const TURNS: u64 = 250;

fn calls(outcome: &Outcome, environment: &str, call: &str) -> u64 {
    let environment = outcome.report().environment(environment);
    environment["counters"]["kernel_entries"][call]
        .as_u64()
        .expect("a count")
}

/// Two pairs take turns; one wake-up that is lost would stop the machine for good.
fn take_turns(vcpus: u32) {
    let machine = Machine::new("sleep-turns").vcpus(vcpus);
    let outcome = machine.run().expect_status(0);
    for environment in ["1", "2", "3", "4"] {
        outcome.expect_end(environment, &End::Exited(0));
        assert_eq!(calls(&outcome, environment, "environment_wake"), TURNS);
        // Each turn asks once, and once more after a sleep: more would be polling.
        let sleeps = calls(&outcome, environment, "environment_sleep");
        assert!((TURNS..=2 * TURNS).contains(&sleeps), "{sleeps} sleeps");
    }
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
    take_turns(4);
}
