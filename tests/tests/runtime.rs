//! The libOS runtime and the block driver: upcalls change nothing that was not meant, and what is written is on the disk.

use exo_tests::{Disk, Guest, Machine, home, outcome::End, require_kvm};

#[test]
fn upcalls_leave_every_register_as_it_was() {
    require_kvm!();
    let outcome = Machine::new("upcalls").run().expect_status(0);
    outcome.expect_end("upcalls", &End::Exited(0));
}

#[test]
fn environments_read_their_page_tables() {
    require_kvm!();
    let outcome = Machine::new("page-bits").run().expect_status(0);
    outcome.expect_end("page-bits", &End::Exited(0));
}

/// What `disk-write` writes at a byte offset, a multiple of 8.
fn pattern(offset: u64) -> [u8; 8] {
    (offset ^ 0x6469_736b_6469_736b).to_le_bytes()
}

fn writes_flushes_and_discards(sectors: usize, arguments: &[&str]) {
    let disk = Disk::with_size(sectors * 512);
    let mut machine = Machine::new("disk-write").disk(disk.path());
    for argument in arguments {
        machine = machine.argument(*argument);
    }
    machine.run().expect_status(0);
    let bytes = disk.bytes();
    let (kept, discarded) = bytes.split_at(sectors / 2 * 512);
    for (index, word) in kept.chunks(8).enumerate() {
        assert_eq!(word, pattern(index as u64 * 8), "word {index}");
    }
    assert!(discarded.iter().all(|&byte| byte == 0));
    assert_eq!(bytes.len(), sectors * 512);
}

#[test]
fn what_is_written_by_polling_is_on_the_disk() {
    require_kvm!();
    writes_flushes_and_discards(1001, &[]);
}

#[test]
fn what_is_written_by_interrupts_is_on_the_disk() {
    require_kvm!();
    writes_flushes_and_discards(64, &["--interrupts"]);
}

#[test]
fn interrupts_are_told_to_who_runs_by_upcalls() {
    require_kvm!();
    let outcome = Machine::new("event-upcalls").run().expect_status(0);
    assert!(
        outcome.stdout().contains("50 upcalls, 50 taken"),
        "{}",
        outcome.describe()
    );
}

#[test]
fn who_was_switched_by_force_is_told_of_interrupts_when_it_goes_on() {
    require_kvm!();
    let manifest = std::fs::read_to_string(home::home().join("images/event-upcalls.toml"))
        .expect("the image is there");
    let text = manifest.replacen("description", "slice = \"1 ms\"\ndescription", 1)
        + "[[environment]]\nname = \"rival\"\nprogram = \"spin-until\"\narguments = [\"event-upcalls\"]\n";
    let guest = Guest::copy(&["event-upcalls", "spin-until"]);
    let outcome = Machine::new(guest.manifest(&text))
        .guest(&guest)
        .vcpus(1)
        .run()
        .expect_status(0);
    assert!(
        outcome.stdout().contains("50 upcalls"),
        "{}",
        outcome.describe()
    );
    assert!(outcome.report().counter("event-upcalls", "forced_switches") > 0);
}
