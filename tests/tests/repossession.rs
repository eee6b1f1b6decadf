//! The abort protocol for each kind of resource: what is not given is taken by force, whatever the holder does with it at that moment.

use exo_tests::require_kvm;
use exo_tests::revocation::{
    attack, ctl, environment, number, revoke, wait_until_it_is, wait_until_it_sleeps,
};
use exo_tests::running::Running;
use serde_json::Value;

#[test]
fn ports_are_taken_while_they_are_used() {
    require_kvm!();
    attack("ports", |machine| {
        revoke(machine, "ports", "1", "1ms", 1, 0);
        wait_until_it_sleeps(machine, "attacker");
        revoke(machine, "ports", "1", "20ms", 1, 0);
        wait_until_it_sleeps(machine, "attacker");
        // That of its console is guaranteed.
        revoke(machine, "ports", "9", "1ms", 0, 1);
    });
}

#[test]
fn an_extent_is_taken_while_it_is_written() {
    require_kvm!();
    attack("extents", |machine| {
        revoke(machine, "extents", "1", "20ms", 1, 0);
        // Its giver writes there now, while the attacker goes on trying.
        wait_until_it_is(machine, "giver", "exited");
    });
}

#[test]
fn a_queue_is_taken_with_requests_in_flight() {
    require_kvm!();
    attack("queues", |machine| {
        revoke(machine, "queues", "1", "20ms", 1, 0);
    });
}

/// Slots of this environment, as the tables say.
fn slots(snapshot: &Value, name: &str) -> u64 {
    let id = &environment(snapshot, name)["number"];
    let slices = snapshot["slices"].as_array().expect("a list");
    let own = slices.iter().filter(|one| one["owner"] == *id);
    own.map(|one| number(&one["slots"])).sum()
}

#[test]
fn slices_are_taken_while_they_end() {
    require_kvm!();
    attack("slices", |machine| {
        revoke(machine, "slices", "1", "1ms", 1, 0);
        wait_until_it_sleeps(machine, "attacker");
        revoke(machine, "slices", "1", "1ms", 1, 0);
        // As the image says: it loses ten more, as often as it has taken them.
        let mut lost = 0;
        while lost < 10 {
            let answer = ctl(
                machine,
                &["revoke", "attacker", "vcpus", "1", "--deadline", "1ms"],
                0,
            );
            lost += number(&answer["taken_by_force"]);
        }
        let snapshot = machine.snapshot();
        for name in ["attacker", "partner"] {
            assert_eq!(slots(&snapshot, name), 0, "{snapshot}");
        }
    });
}

#[test]
fn slices_and_frames_are_taken_while_a_transfer_is_under_way() {
    require_kvm!();
    attack_under_way("transfer", |machine| {
        for _ in 0..3 {
            machine.wait_until("the attacker awaits a reply", |machine| {
                let snapshot = machine.snapshot();
                let attacker = environment(&snapshot, "attacker");
                attacker["state"] == "awaiting-reply"
                    && slots(&snapshot, "attacker") == 2
                    && number(&attacker["frames"]) > number(&attacker["frames_guaranteed"])
            });
            revoke(machine, "slices", "1", "1ms", 1, 0);
            // The reply does not come before this.
            assert_eq!(
                environment(&machine.snapshot(), "attacker")["state"],
                "awaiting-reply"
            );
            revoke(machine, "frames", "8", "1ms", 1, 0);
        }
    });
}

/// As [`attack`], for an attacker that need not sleep.
fn attack_under_way(image: &str, ask: impl Fn(&Running)) {
    for vcpus in ["1", "2"] {
        let image = format!("revocation/{image}");
        let mut machine = Running::start(&["--vcpus", vcpus, &image]);
        ask(&machine);
        wait_until_it_sleeps(&machine, "attacker");
        machine.ctl(&["revoke", "attacker", "slices", "1"]);
        let finished = machine.finish();
        assert_eq!(
            finished.status, 0,
            "{vcpus} vCPUs: {}{}",
            finished.stdout, finished.stderr
        );
    }
}

#[test]
fn who_computes_is_told_of_requests_by_upcalls() {
    require_kvm!();
    // As the image says.
    const FRAMES: u64 = 16 * 8;
    for vcpus in ["1", "2"] {
        let mut machine = Running::start(&["--vcpus", vcpus, "revocation/busy"]);
        machine.wait_until("it holds its frames", |machine| {
            let snapshot = machine.snapshot();
            let busy = environment(&snapshot, "busy");
            busy["state"] == "runnable"
                && number(&busy["frames"]) == number(&busy["frames_guaranteed"]) + FRAMES
        });
        for _ in 0..12 {
            let words = ["revoke", "busy", "frames", "8", "--deadline", "20s"];
            let finished = machine.ctl(&words);
            // The machine may end with the last request before it answers.
            assert!([0, 66].contains(&finished.status), "{}", finished.stderr);
        }
        let finished = machine.finish();
        assert_eq!(
            finished.status, 0,
            "{vcpus} vCPUs: {}{}",
            finished.stdout, finished.stderr
        );
    }
}
