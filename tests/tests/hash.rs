//! The main job: a program reads a disk through its own queue, and its digest is that of the host's file.

use exo_tests::guest::Guest;
use exo_tests::{Disk, Machine, Outcome, disk, host, require_kvm};

/// The digest that the program printed: the only word of 64 hexadecimal digits.
fn printed_digest(outcome: &Outcome) -> String {
    let mut digests = outcome
        .stdout()
        .split_whitespace()
        .filter(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match (digests.next(), digests.next()) {
        (Some(digest), None) => digest.to_owned(),
        other => panic!("not one digest but {other:?}\n{}", outcome.describe()),
    }
}

fn sizes() -> Vec<usize> {
    let mut sizes = vec![512, 4096, 4096 + 512, 1 << 20, (1 << 20) + 1536];
    if !host::is_nested() {
        sizes.push(64 << 20);
    }
    sizes
}

#[test]
fn digest_equals_that_of_the_file_when_polling() {
    require_kvm!();
    for size in sizes() {
        let disk = Disk::with_size(size);
        let outcome = Machine::new("hash")
            .disk(disk.path())
            .run()
            .expect_status(0);
        assert_eq!(printed_digest(&outcome), disk.sha256(), "{size} bytes");
    }
}

#[test]
fn digest_equals_that_of_the_file_with_interrupts() {
    require_kvm!();
    for size in sizes() {
        let disk = Disk::with_size(size);
        let outcome = Machine::new("hash")
            .disk(disk.path())
            .argument("--interrupts")
            .run()
            .expect_status(0);
        assert_eq!(printed_digest(&outcome), disk.sha256(), "{size} bytes");
    }
}

#[test]
fn a_read_only_disk_is_read_and_left_alone() {
    require_kvm!();
    let disk = Disk::with_size(1 << 20);
    let before = disk.sha256();
    let mut permissions = std::fs::metadata(disk.path()).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(disk.path(), permissions).unwrap();
    let outcome = Machine::new("hash")
        .readonly_disk(disk.path())
        .run()
        .expect_status(0);
    assert_eq!(printed_digest(&outcome), before);
    assert_eq!(disk.sha256(), before);
}

/// A program that is being executed can be opened for reading only, whoever asks.
#[test]
fn a_file_that_nobody_may_write_is_read_without_being_asked_for_readonly() {
    require_kvm!();
    let disk = Disk::with_size(4096);
    let busy = disk.path().with_extension("busy");
    std::fs::copy("/bin/sleep", &busy).unwrap();
    let padded = std::fs::metadata(&busy)
        .unwrap()
        .len()
        .next_multiple_of(512);
    let file = std::fs::OpenOptions::new().write(true).open(&busy).unwrap();
    file.set_len(padded).unwrap();
    drop(file);
    let mut sleeper = std::process::Command::new(&busy).arg("60").spawn().unwrap();
    let outcome = Machine::new("hash").disk(&busy).run();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let expected = disk::sha256(&std::fs::read(&busy).unwrap());
    std::fs::remove_file(&busy).unwrap();
    assert_eq!(printed_digest(&outcome.expect_status(0)), expected);
}

#[test]
fn without_a_disk_the_documented_pattern_is_read() {
    require_kvm!();
    let outcome = Machine::new("hash").run().expect_status(0);
    assert_eq!(
        printed_digest(&outcome),
        disk::sha256(&disk::memory_pattern())
    );
}

/// Most VM exits by which two runs may differ, whatever they read.
const LOOKS_MAX: u64 = 2;

#[test]
fn polling_costs_no_kernel_entry_and_no_exit_per_request() {
    require_kvm!();
    let small = Disk::with_size(1 << 20);
    let large = Disk::with_size(16 << 20);
    let counts = |disk: &Disk| {
        let outcome = Machine::new("hash")
            .disk(disk.path())
            .run()
            .expect_status(0);
        let report = outcome.report().clone();
        assert_eq!(
            report.counter("hash", "bytes"),
            disk.bytes().len() as u64,
            "{}",
            outcome.describe()
        );
        (report.kernel_entries("hash"), report.exits(), report)
    };
    let (small_entries, small_exits, small_report) = counts(&small);
    let (large_entries, large_exits, large_report) = counts(&large);
    assert!(
        large_report.counter("hash", "requests") > small_report.counter("hash", "requests"),
        "the larger disk should have taken more requests"
    );
    assert_eq!(small_entries, large_entries, "kernel entries");
    // A wait of millions of spins, as a host has that runs others meanwhile, ends with a look at the device status.
    let more = large_exits.abs_diff(small_exits);
    assert!(
        more <= LOOKS_MAX,
        "{small_exits} VM exits, then {large_exits}"
    );
}

#[test]
fn interrupts_cost_kernel_entries_that_are_counted() {
    require_kvm!();
    let disk = Disk::with_size(4 << 20);
    let outcome = Machine::new("hash")
        .disk(disk.path())
        .argument("--interrupts")
        .run()
        .expect_status(0);
    assert!(
        outcome.report().counter("hash", "interrupts") > 0,
        "{}",
        outcome.describe()
    );
}

#[test]
fn interrupts_find_their_processor_among_many() {
    require_kvm!();
    const VCPUS: usize = 6;
    let files = Guest::copy(&["hash"]);
    let mut manifest = format!("description = \"a disk on each vCPU\"\nvcpus = {VCPUS}\n");
    for number in 0..VCPUS {
        manifest.push_str(&format!(
            "[[function]]\nname = \"disk-{number}\"\ndevice = \"block\"\nreadonly = true\n"
        ));
    }
    for number in 0..VCPUS {
        manifest.push_str(&format!(
            "[[environment]]\nname = \"hash-{number}\"\nprogram = \"hash\"\narguments = [\"--interrupts\"]\n\
             console = true\nvcpu = {number}\nfunctions = [\"disk-{number}\"]\n"
        ));
    }
    let disk = Disk::with_size(1 << 20);
    for _ in 0..4 {
        let outcome = Machine::new(files.manifest(&manifest))
            .guest(&files)
            .disk(disk.path())
            .run()
            .expect_status(0);
        let digests = outcome.stdout().matches(&disk.sha256()).count();
        assert_eq!(digests, VCPUS, "{}", outcome.describe());
    }
}
