//! The part of a disk that a function shows, from its sector 0 on.

use exo_abi::virtio::block::SECTOR_SIZE;

/// A run of sectors, and whether they may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First sector of the disk.
    pub first: u64,
    /// How many.
    pub sectors: u64,
    /// The function may write them.
    pub writable: bool,
}

impl Extent {
    /// Whether a disk with `sectors` sectors has it.
    pub fn fits(&self, sectors: u64) -> bool {
        self.first
            .checked_add(self.sectors)
            .is_some_and(|end| end <= sectors)
    }

    /// Where on the disk `count` sectors from `sector` lie, in bytes; `None` where not all of them are in the extent.
    pub fn offset(&self, sector: u64, count: u64) -> Option<u64> {
        let end = sector.checked_add(count)?;
        if end > self.sectors {
            return None;
        }
        self.first.checked_add(sector)?.checked_mul(SECTOR_SIZE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sectors_of_the_extent_have_a_place() {
        let extent = Extent {
            first: 8,
            sectors: 4,
            writable: true,
        };
        assert_eq!(extent.offset(0, 4), Some(8 * 512));
        assert_eq!(extent.offset(3, 1), Some(11 * 512));
        assert_eq!(extent.offset(4, 0), Some(12 * 512));
        for (sector, count) in [
            (4, 1),
            (3, 2),
            (0, 5),
            (u64::MAX, 1),
            (u64::MAX, 2),
            (1, u64::MAX),
        ] {
            assert_eq!(extent.offset(sector, count), None);
        }
        assert!(extent.fits(12) && !extent.fits(11));
        let wrapping = Extent {
            first: u64::MAX,
            ..extent
        };
        assert!(!wrapping.fits(u64::MAX));
    }
}
