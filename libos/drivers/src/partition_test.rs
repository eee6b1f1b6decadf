//! Tables that an independent library wrote, and tables that somebody has spoiled.

extern crate std;

use std::io::Cursor;
use std::vec::Vec;

use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types::LINUX_FS;

use super::*;

const SECTORS: u64 = 2048;

/// A disk with two partitions.
fn disk() -> Vec<u8> {
    let mut bytes = Cursor::new(vec![0; (SECTORS * SECTOR_SIZE) as usize]);
    let mbr = ProtectiveMBR::with_lb_size(SECTORS as u32 - 1);
    mbr.overwrite_lba0(&mut bytes).unwrap();
    let config = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512);
    let mut table = config.create_from_device(bytes, None).unwrap();
    for (number, first, sectors) in [(1, 64, 100), (2, 300, 1)] {
        let name = std::format!("part-{number}");
        table
            .add_partition_at(&name, number, first, sectors, LINUX_FS, 0)
            .unwrap();
    }
    table.write().unwrap().into_inner()
}

fn read(disk: &[u8]) -> Result<Vec<Partition>, TableError<()>> {
    partitions(SECTORS, |first, bytes| {
        let start = (first * SECTOR_SIZE) as usize;
        let source = disk.get(start..start + bytes.len()).ok_or(())?;
        bytes.copy_from_slice(source);
        Ok(())
    })
}

fn two() -> Vec<Partition> {
    [(1, 64, 100), (2, 300, 1)]
        .map(|(number, first, sectors)| Partition {
            number,
            first,
            sectors,
            name: std::format!("part-{number}"),
        })
        .into()
}

#[test]
fn partitions_of_another_librarys_table_are_read() {
    assert_eq!(read(&disk()), Ok(two()));
}

#[test]
fn the_copy_serves_where_the_table_is_spoiled() {
    let mut disk = disk();
    disk[512 + 40] ^= 1;
    assert_eq!(read(&disk), Ok(two()));
    let backup = disk.len() - 512;
    disk[backup + 40] ^= 1;
    assert_eq!(read(&disk), Err(TableError::NoTable));
}

#[test]
fn disks_without_a_table_are_refused() {
    assert_eq!(read(&vec![0; 2048 * 512]), Err(TableError::NoTable));
    for sectors in [0, 1, 2] {
        let answer = partitions(sectors, |_, _| Ok::<(), ()>(()));
        assert_eq!(answer, Err(TableError::NoTable));
    }
    let answer = partitions(SECTORS, |_, _| Err(7));
    assert_eq!(answer, Err(TableError::Read(7)));
}

/// The header, with a change and its checksum put right.
fn change(disk: &mut [u8], change: impl FnOnce(&mut GptHeader)) {
    let sector = &mut disk[512..512 + size_of::<GptHeader>()];
    let mut header: GptHeader = bytemuck::pod_read_unaligned(sector);
    change(&mut header);
    header.update_header_crc32();
    sector.copy_from_slice(bytemuck::bytes_of(&header));
}

#[test]
fn entries_that_do_not_fit_are_refused() {
    let changes: [fn(&mut GptHeader); 6] = [
        |header| header.number_of_partition_entries.set(u32::MAX),
        |header| header.number_of_partition_entries.set(0),
        |header| header.size_of_partition_entry.set(100),
        |header| header.size_of_partition_entry.set(1 << 31),
        |header| header.partition_entry_lba = gpt_disk_types::LbaLe::from_u64(u64::MAX),
        |header| header.partition_entry_lba = gpt_disk_types::LbaLe::from_u64(1),
    ];
    for (number, spoil) in changes.into_iter().enumerate() {
        let mut disk = disk();
        change(&mut disk, spoil);
        assert_eq!(read(&disk), Err(TableError::Entries), "change {number}");
    }
    let mut disk = disk();
    disk[1024 + 200] ^= 1;
    assert_eq!(read(&disk), Err(TableError::Checksum));
}

#[test]
fn partitions_outside_the_disk_or_over_others_are_refused() {
    // First and last sector of the second entry.
    for (first, last) in [
        (0, 1),
        (300, 299),
        (300, 1 << 40),
        (u64::MAX, u64::MAX),
        (163, 300),
        (1, 99),
    ] {
        let mut disk = disk();
        let entry = 1024 + 128;
        disk[entry + 32..entry + 40].copy_from_slice(&u64::to_le_bytes(first));
        disk[entry + 40..entry + 48].copy_from_slice(&u64::to_le_bytes(last));
        let mut entries = disk[1024..1024 + 128 * 128].to_vec();
        change(&mut disk, |header| {
            let layout = header.get_partition_entry_array_layout().unwrap();
            let entries =
                GptPartitionEntryArray::new(layout, BlockSize::BS_512, &mut entries).unwrap();
            header.partition_entry_array_crc32 = entries.calculate_crc32();
        });
        assert_eq!(read(&disk), Err(TableError::Partition(2)), "{first} {last}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_of_the_table_make_the_reader_panic(place in 512usize..2048, value: u8) {
        let mut disk = disk();
        disk[place] = value;
        let _ = read(&disk);
    }
}
