//! Visible revocation from outside: `exo ctl` asks, libOSes answer or do not, and what comes back leaves the host's memory.

use exo_tests::require_kvm;
use exo_tests::revocation::{
    attack, ctl, environment, number, revoke, start, wait_until_it_sleeps,
};
use exo_tests::running::Running;

/// Frames that the cache of `elastic` has: 32 MiB.
const CACHE: u64 = 8192;

/// Resident memory of the VMM in KiB, as the host counts it.
fn resident_kib(machine: &Running) -> u64 {
    let path = format!("/proc/{}/status", machine.process());
    let text = std::fs::read_to_string(path).expect("the process is there");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|line| line.trim().strip_suffix("kB"));
    size.and_then(|size| size.trim().parse().ok())
        .expect("a size")
}

#[test]
fn what_is_given_back_leaves_the_memory_of_the_host() {
    require_kvm!();
    let machine = start(&["elastic", "32"], "elastic");
    let before = resident_kib(&machine);
    let snapshot = machine.snapshot();
    let summary = &snapshot["summary"];
    let owned = number(&summary["frames_owned"]);
    // As much less as is free, and half of the cache.
    let less = number(&summary["frames_limit"]) - owned + CACHE / 2;
    let answer = ctl(
        &machine,
        &["shrink", &format!("{}KiB", less * 4), "--deadline", "20s"],
        0,
    );
    let revoked = &answer["revoked"][0];
    assert_eq!(number(&revoked["asked"]), CACHE / 2, "{answer}");
    assert_eq!(number(&revoked["taken_by_force"]), 0, "{answer}");
    assert_eq!(
        number(&answer["frames_owned"]),
        owned - CACHE / 2,
        "{answer}"
    );
    assert_eq!(answer["frames_owned"], answer["frames_limit"], "{answer}");
    let after = resident_kib(&machine);
    assert!(
        after + CACHE / 2 * 4 * 9 / 10 < before,
        "{before} KiB before, {after} KiB after {} KiB were given back",
        CACHE / 2 * 4
    );
    // What is left goes on.
    wait_until_it_sleeps(&machine, "elastic");
    let grown = ctl(&machine, &["grow", "1MiB"], 0);
    assert_eq!(
        number(&grown["frames_limit"]),
        number(&answer["frames_limit"]) + 256
    );
}

#[test]
fn a_libos_chooses_what_it_gives() {
    require_kvm!();
    let mut machine = start(&["elastic", "8", "3"], "elastic");
    let held = number(&environment(&machine.snapshot(), "elastic")["frames"]);
    let answer = ctl(
        &machine,
        &["revoke", "elastic", "frames", "100", "--deadline", "20s"],
        0,
    );
    assert_eq!(number(&answer["taken_by_force"]), 0, "{answer}");
    wait_until_it_sleeps(&machine, "elastic");
    // Chunks of 64 frames go whole.
    let left = number(&environment(&machine.snapshot(), "elastic")["frames"]);
    assert_eq!(left, held - 128);
    let answer = ctl(
        &machine,
        &["revoke", "1", "frames", "1", "--deadline", "20s"],
        0,
    );
    assert_eq!(number(&answer["taken_by_force"]), 0, "{answer}");
    wait_until_it_sleeps(&machine, "elastic");
    machine.ctl(&["revoke", "elastic", "frames", "1"]);
    let finished = machine.finish();
    assert_eq!(finished.status, 0, "{}{}", finished.stdout, finished.stderr);
}

#[test]
fn nonsense_is_refused() {
    require_kvm!();
    let machine = start(&["elastic", "1"], "elastic");
    for (words, status) in [
        (&["revoke", "nobody", "frames", "1"] as &[&str], 66),
        (&["revoke", "2", "frames", "1"], 66),
        (&["revoke", "elastic", "friends", "1"], 2),
        (&["revoke", "elastic", "frames", "0"], 2),
        (
            &["revoke", "elastic", "frames", "1", "--deadline", "soon"],
            2,
        ),
        (&["shrink", "1EiB"], 2),
        (&["shrink", "1TiB"], 2),
        (&["grow", "1TiB"], 2),
    ] {
        let finished = machine.ctl(words);
        assert_eq!(finished.status, status, "{words:?}: {}", finished.stderr);
        assert_eq!(finished.stdout, "", "{words:?}");
    }
    // It holds none of these, so it has given them.
    for kind in ["slices", "queues", "extents", "vcpus"] {
        let answer = ctl(&machine, &["revoke", "elastic", kind, "1"], 0);
        assert_eq!(number(&answer["taken_by_force"]), 0, "{answer}");
    }
}

#[test]
fn who_ignores_revocation_loses_by_force_and_keeps_what_is_guaranteed() {
    require_kvm!();
    attack("ignored", |machine| {
        revoke(machine, "frames", "12", "20ms", 2, 0);
        wait_until_it_sleeps(machine, "attacker");
        revoke(machine, "frames", "100000", "1ms", 1, 1);
    });
}

#[test]
fn names_of_others_are_no_answer() {
    require_kvm!();
    attack("foreign-names", |machine| {
        revoke(machine, "frames", "8", "1s", 1, 0)
    });
}

#[test]
fn death_in_the_middle_of_an_answer_ends_the_request() {
    require_kvm!();
    attack("death", |machine| {
        // The machine ends soon after the attacker, so that the answer may come too late.
        let words = ["revoke", "attacker", "frames", "16", "--deadline", "20s"];
        let finished = machine.ctl(&words);
        assert!([0, 66].contains(&finished.status), "{}", finished.stderr);
    });
}

#[test]
fn nothing_is_to_be_had_above_the_limit() {
    require_kvm!();
    attack("greed", |machine| {
        let summary = &machine.snapshot()["summary"];
        let free = number(&summary["frames_limit"]) - number(&summary["frames_owned"]);
        let size = format!("{}KiB", (free + 50) * 4);
        let answer = ctl(machine, &["shrink", &size, "--deadline", "20s"], 0);
        assert!(
            number(&answer["frames_owned"]) <= number(&answer["frames_limit"]),
            "{answer}"
        );
    });
}

#[test]
fn frames_leave_the_domain_before_they_are_taken() {
    require_kvm!();
    attack("dma", |machine| revoke(machine, "frames", "8", "1ms", 1, 0));
}
