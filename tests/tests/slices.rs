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

#[test]
fn who_is_told_ends_its_slices_itself_and_keeps_its_registers() {
    require_kvm!();
    let outcome = Machine::new("slice-upcalls").run().expect_status(0);
    for name in ["one", "two"] {
        outcome.expect_end(name, &End::Exited(0));
        let report = outcome.report();
        let environment = report.environment(name);
        let yields = &environment["counters"]["kernel_entries"]["environment_yield"];
        assert!(yields.as_u64() > Some(0), "{name}");
    }
}

#[test]
fn two_who_yield_to_each_other_do_not_starve_a_third() {
    require_kvm!();
    let outcome = Machine::new("yield-ping-pong").run().expect_status(0);
    for name in ["ping", "pong", "third"] {
        outcome.expect_end(name, &End::Exited(0));
    }
}

/// Runs the scheduler; the turns and the time of its three clients.
fn schedule(policy: &str, quanta: u64) -> [(f64, f64); 3] {
    let outcome = Machine::new("scheduler")
        .argument(policy)
        .argument(quanta.to_string())
        .run()
        .expect_status(0);
    ["one", "two", "three"].map(|name| {
        let counter = |counter| outcome.report().counter(name, counter) as f64;
        (counter("turns"), counter("ticks"))
    })
}

/// Turns are exact but for the few after the scheduler's end. Time is that of the turns, but for what a loaded host takes away.
fn expect_shares(clients: [(f64, f64); 3], weights: [f64; 3]) {
    let total = |part: fn((f64, f64)) -> f64| clients.map(part).iter().sum::<f64>();
    let (turns, ticks) = (total(|(turns, _)| turns), total(|(_, ticks)| ticks));
    for (client, weight) in clients.into_iter().zip(weights) {
        let share = weight / weights.iter().sum::<f64>();
        let part = client.0 / turns;
        assert!(
            (part / share - 1.0).abs() < 0.05,
            "{part} is not {share}: {clients:?}"
        );
        let part = client.1 / ticks;
        assert!(
            (part - share).abs() < 0.1,
            "{part} is not {share}: {clients:?}"
        );
    }
}

#[test]
fn a_scheduler_in_ring_3_gives_equal_shares_by_turns() {
    require_kvm!();
    expect_shares(schedule("round-robin", 180), [1.0, 1.0, 1.0]);
}

#[test]
fn a_scheduler_in_ring_3_gives_shares_by_strides() {
    require_kvm!();
    expect_shares(schedule("stride", 240), [3.0, 2.0, 1.0]);
}

#[test]
fn a_scheduler_in_ring_3_meets_deadlines_that_can_be_met_and_no_others() {
    require_kvm!();
    // Each client gets its work in every period, 2 of 5, 2 of 8 and 3 of 10: 95 percent of three hyperperiods.
    let clients = schedule("deadline", 120);
    for ((turns, _), due) in clients.into_iter().zip([48.0, 30.0, 36.0]) {
        // And some between the scheduler's last slice and its end, which takes its time.
        assert!((due..due + 10.0).contains(&turns), "{clients:?}");
    }
    schedule("overload", 120);
}
