//! Two environments that distrust each other, each with its own function and disk, at once in one machine.

use exo_tests::{Disk, Machine, outcome::End, require_kvm};

fn both_digests_are_right(first: usize, second: usize, vcpus: u32) {
    let disks = [Disk::with_size(first), Disk::with_size(second)];
    let outcome = Machine::new("two-hashes")
        .vcpus(vcpus)
        .disk(disks[0].path())
        .disk(disks[1].path())
        .run()
        .expect_status(0);
    for disk in &disks {
        assert!(
            outcome.stdout().contains(&disk.sha256()),
            "no {}\n{}",
            disk.sha256(),
            outcome.describe()
        );
    }
    outcome.expect_end("first", &End::Exited(0));
    outcome.expect_end("second", &End::Exited(0));
}

#[test]
fn both_digests_are_right_on_two_processors() {
    require_kvm!();
    both_digests_are_right(1 << 20, (2 << 20) + 512, 2);
}

#[test]
fn both_digests_are_right_on_one_processor() {
    require_kvm!();
    both_digests_are_right((1 << 20) + 1024, 1 << 19, 1);
}

#[test]
fn disks_are_not_mixed_up_when_they_are_swapped() {
    require_kvm!();
    both_digests_are_right(512, 1 << 20, 2);
    both_digests_are_right(1 << 20, 512, 2);
}

#[test]
fn exits_are_counted_for_who_ran() {
    require_kvm!();
    let disk = Disk::with_size(4096);
    let outcome = Machine::new("two-hashes")
        .vcpus(1)
        .disk(disk.path())
        .disk(disk.path())
        .run()
        .expect_status(0);
    let report = outcome.report();
    let exits_of = |name: &str, kind: &str| {
        let exits = &report.environment(name)["counters"]["vm_exits"];
        exits[kind].as_u64().expect("the report counts exits")
    };
    // Each sets a queue up by device registers, and prints a digest.
    for name in ["first", "second"] {
        assert!(exits_of(name, "memory") > 10, "{}", outcome.describe());
        assert!(exits_of(name, "port") > 0, "{}", outcome.describe());
    }
    let sum: u64 = ["first", "second"]
        .iter()
        .flat_map(|name| ["memory", "port", "other"].map(|kind| exits_of(name, kind)))
        .sum();
    assert_eq!(sum, report.exits(), "nobody else ran");
}
