//! Memory that changes its owner: given back to the host, which hands out zeros in its place.

#![allow(unsafe_code)]

use vm_memory::{Address, GuestMemoryRegion, GuestRegionMmap, MemoryRegionAddress};

/// Gives `length` bytes of a region back to the host; they read as zero from then on. False where they are not all in it. Where files
/// are shown, they are no more.
pub fn discard(
    region: &GuestRegionMmap,
    offset: MemoryRegionAddress,
    length: usize,
    shows_files: bool,
) -> bool {
    let inside = offset
        .checked_add(length as u64)
        .is_some_and(|end| end.raw_value() <= region.len());
    let Ok(start) = region.get_host_address(offset) else {
        return false;
    };
    if !inside {
        return false;
    }
    if shows_files {
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: 1. the range is inside our mapping, and whole pages; 2. as below, nobody has a reference into it.
        return unsafe { libc::mmap(start.cast(), length, rights, flags, -1, 0) }
            != libc::MAP_FAILED;
    }
    // SAFETY: 1. the range is inside the mapping, which is private and anonymous, so it reads as zero afterwards
    // (madvise(2)); 2. nobody has a reference into guest memory that the change could surprise.
    unsafe { libc::madvise(start.cast(), length, libc::MADV_DONTNEED) == 0 }
}
