//! Time slices: who never enters the kernel shares its vCPU all the same, and finds every register as it was.

use exo_tests::outcome::End;
use exo_tests::{Machine, require_kvm};

/// Runs the image with slices of this length: everybody ends, by itself.
fn preempts(slice: &str) {
    let outcome = Machine::new("preemption")
        .option("--slice")
        .option(slice)
        .run()
        .expect_status(0);
    for name in ["endless", "one", "two"] {
        outcome.expect_end(name, &End::Exited(0));
        assert!(
            outcome.report().counter(name, "forced_switches") > 0,
            "{name}"
        );
        assert_eq!(outcome.report().counter(name, "penalties"), 0, "{name}");
    }
}

#[test]
fn who_never_enters_the_kernel_shares_its_vcpu() {
    require_kvm!();
    preempts("10 ms");
}

#[test]
fn registers_survive_many_forced_switches() {
    require_kvm!();
    for slice in ["300 us", "1 ms"] {
        preempts(slice);
    }
}

#[test]
fn alone_nobody_is_switched_by_force() {
    require_kvm!();
    let outcome = Machine::new("hash")
        .option("--slice")
        .option("300 us")
        .run()
        .expect_status(0);
    assert_eq!(outcome.report().counter("hash", "forced_switches"), 0);
}
