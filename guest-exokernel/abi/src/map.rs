//! Batches of mappings, as `page_map`, `page_protect` and `page_unmap` take them from the call page.

/// Entries in one batch.
pub const MAP_BATCH: usize = 112;
/// Most pages that one call may touch over all its entries: the kernel is not preemptible.
pub const MAP_PAGES_MAX: u64 = 512;

/// In [`MapEntry::rights`], beside these: the pages are of 2 MiB, and the run lies inside one page directory: it does not cross a multiple
/// of 1 GiB.
pub const LARGE_PAGES: u32 = 1 << 31;

/// A run of pages inside one page table: it does not cross a multiple of 2 MiB. Each entry is done whole or not at all; the first
/// refused entry ends the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct MapEntry {
    /// First address, page aligned, in the program range.
    pub address: u64,
    /// `page_map`: frame number of the first page. Else ignored.
    pub frame: u64,
    /// Number of pages.
    pub pages: u32,
    /// `page_map`, `page_protect`: [`crate::Rights`] of the mapping; read is implied. All three: [`LARGE_PAGES`].
    pub rights: u32,
    /// `page_map`, `page_protect`: the capability that covers the frames. Else ignored.
    pub capability: u64,
}

const _: () = assert!(size_of::<MapEntry>() == 32);
