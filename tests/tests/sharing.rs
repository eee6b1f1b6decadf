//! One disk for several environments that distrust each other: by queues of one function, and by extents.

use std::io::Cursor;

use exo_tests::disk::sha256;
use exo_tests::outcome::End;
use exo_tests::{Disk, Machine, require_kvm};
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types::LINUX_FS;

/// Bytes of a sector.
const SECTOR: usize = 512;

#[test]
fn each_queue_of_a_function_serves_its_own_holder() {
    require_kvm!();
    for vcpus in [1, 2] {
        let disk = Disk::with_size((1 << 20) + SECTOR);
        let outcome = Machine::new("shared-function")
            .vcpus(vcpus)
            .disk(disk.path())
            .run()
            .expect_status(0);
        let digests = outcome.stdout().matches(&disk.sha256()).count();
        assert_eq!(digests, 2, "{}", outcome.describe());
    }
}

/// A disk with these partitions, which another library than the guest's has written: name, first sector, sectors.
fn partitioned(partitions: &[(&str, u64, u64)]) -> Disk {
    let bytes = Disk::with_size(1 << 20).bytes();
    let sectors = bytes.len() / SECTOR;
    let mut bytes = Cursor::new(bytes);
    ProtectiveMBR::with_lb_size(sectors as u32 - 1)
        .overwrite_lba0(&mut bytes)
        .expect("the disk has a first sector");
    let config = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512);
    let mut table = config
        .create_from_device(bytes, None)
        .expect("there is room for a table");
    for (number, &(name, first, sectors)) in (1..).zip(partitions) {
        table
            .add_partition_at(name, number, first, sectors, LINUX_FS, 0)
            .expect("the partition fits");
    }
    let bytes = table.write().expect("the table is written").into_inner();
    Disk::with_bytes(&bytes)
}

#[test]
fn partitions_become_extents_of_others() {
    require_kvm!();
    let parts = [("first", 64, 500), ("second", 600, 1001)];
    for vcpus in [1, 2] {
        let disk = partitioned(&parts);
        let bytes = disk.bytes();
        let outcome = Machine::new("partitions")
            .vcpus(vcpus)
            .disk(disk.path())
            .run()
            .expect_status(0);
        for (name, first, sectors) in parts {
            let start = first as usize * SECTOR;
            let due = sha256(&bytes[start..start + sectors as usize * SECTOR]);
            assert!(
                outcome.stdout().contains(&due),
                "{name}: no {due}\n{}",
                outcome.describe()
            );
            outcome.expect_end(name, &End::Exited(0));
        }
    }
}

#[test]
fn a_disk_without_a_table_is_refused() {
    require_kvm!();
    let disk = Disk::with_size(1 << 20);
    let outcome = Machine::new("partitions").disk(disk.path()).run();
    assert!(
        outcome.stdout().contains("has no GUID partition table"),
        "{}",
        outcome.describe()
    );
}
