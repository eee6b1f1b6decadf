//! GUID partition tables (UEFI specification 2.10, section 5.3), read in ring 3: into which extents a disk is to be split.
//!
//! The table is another's data: what does not add up is refused, and what is derived from it lies inside the disk's own extent,
//! which the kernel checks.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use gpt_disk_types::{
    BlockSize, GptHeader, GptPartitionEntry, GptPartitionEntryArray, GptPartitionEntryArrayLayout,
};

use crate::virtio::block::SECTOR_SIZE;

/// Where the table starts (section 5.3.1); its copy ends with the disk.
const PRIMARY: u64 = 1;
/// Most bytes of entries that are read: eight times what disks have.
const ENTRIES_BYTES_MAX: u64 = 128 << 10;

/// A partition that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Number in the table, from 1 on.
    pub number: u32,
    /// First sector.
    pub first: u64,
    /// Sectors.
    pub sectors: u64,
    /// Name.
    pub name: String,
}

/// Why a table cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError<E> {
    /// A sector could not be read.
    Read(E),
    /// Neither header is one whose checksum is right.
    NoTable,
    /// The entries do not fit the disk, or are unreasonably many.
    Entries,
    /// The checksum of the entries is wrong.
    Checksum,
    /// A partition lies outside the usable sectors, or over another.
    Partition(u32),
}

impl<E: fmt::Display> fmt::Display for TableError<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(formatter, "the partition table cannot be read: {error}"),
            Self::NoTable => write!(formatter, "the disk has no GUID partition table"),
            Self::Entries => write!(formatter, "the partition table does not fit the disk"),
            Self::Checksum => write!(formatter, "the checksum of the partition table is wrong"),
            Self::Partition(number) => write!(
                formatter,
                "partition {number} lies outside the disk, or over another"
            ),
        }
    }
}

/// The partitions of a disk of so many sectors. `read` reads whole sectors, from one on.
pub fn partitions<E>(
    sectors: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Vec<Partition>, TableError<E>> {
    let mut header = None;
    for place in [PRIMARY, sectors.saturating_sub(1)] {
        if header.is_none() && place < sectors {
            let mut sector = [0; SECTOR_SIZE as usize];
            read(place, &mut sector).map_err(TableError::Read)?;
            header = parse_header(&sector, place);
        }
    }
    let header = header.ok_or(TableError::NoTable)?;
    let layout = header
        .get_partition_entry_array_layout()
        .map_err(|_| TableError::Entries)?;
    let mut bytes = read_entries(&layout, sectors, &mut read)?;
    let entries = GptPartitionEntryArray::new(layout, BlockSize::BS_512, &mut bytes)
        .map_err(|_| TableError::Entries)?;
    if entries.calculate_crc32() != header.partition_entry_array_crc32 {
        return Err(TableError::Checksum);
    }
    let usable = (
        header.first_usable_lba.to_u64(),
        header.last_usable_lba.to_u64().min(sectors - 1),
    );
    let mut found: Vec<Partition> = Vec::new();
    for index in 0..layout.num_entries {
        let Some(entry) = entries.get_partition_entry(index) else {
            return Err(TableError::Entries);
        };
        if !entry.is_used() {
            continue;
        }
        let partition = parse_entry(index, entry, usable);
        let partition = partition.ok_or(TableError::Partition(index + 1))?;
        let end = partition.first + partition.sectors;
        let over =
            |other: &Partition| partition.first < other.first + other.sectors && other.first < end;
        if found.iter().any(over) {
            return Err(TableError::Partition(index + 1));
        }
        found.push(partition);
    }
    Ok(found)
}

/// The header in a sector, if it is one, and says that it is there.
fn parse_header(sector: &[u8], place: u64) -> Option<GptHeader> {
    let bytes = sector.get(..size_of::<GptHeader>())?;
    let header: GptHeader = bytemuck::pod_read_unaligned(bytes);
    let good = header.is_signature_valid()
        && header.header_size.to_u32() as usize == size_of::<GptHeader>()
        && header.calculate_header_crc32() == header.header_crc32
        && header.my_lba.to_u64() == place;
    good.then_some(header)
}

fn read_entries<E>(
    layout: &GptPartitionEntryArrayLayout,
    sectors: u64,
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Vec<u8>, TableError<E>> {
    let bytes = layout.num_bytes_rounded_to_block(BlockSize::BS_512);
    let bytes = bytes.filter(|&bytes| bytes != 0 && bytes <= ENTRIES_BYTES_MAX);
    let bytes = bytes.ok_or(TableError::Entries)?;
    let first = layout.start_lba.to_u64();
    let end = first.checked_add(bytes / SECTOR_SIZE);
    if first <= PRIMARY || end.is_none_or(|end| end > sectors) {
        return Err(TableError::Entries);
    }
    let mut entries = vec![0; bytes as usize];
    read(first, &mut entries).map_err(TableError::Read)?;
    Ok(entries)
}

/// A used entry, if its sectors are all usable ones.
fn parse_entry(
    index: u32,
    entry: &GptPartitionEntry,
    (first_usable, last_usable): (u64, u64),
) -> Option<Partition> {
    // Copies: the entry is packed.
    let (first, last) = (entry.starting_lba.to_u64(), entry.ending_lba.to_u64());
    let inside = first_usable <= first && first <= last && last <= last_usable;
    inside.then(|| Partition {
        number: index + 1,
        first,
        sectors: last - first + 1,
        name: { entry.name }.chars().collect(),
    })
}

#[cfg(test)]
#[path = "partition_test.rs"]
mod tests;
