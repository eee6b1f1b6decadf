//! Memory that changes its owner: given back to the host, which hands out zeros in its place.

#![allow(unsafe_code)]

use vm_memory::{Address, GuestMemoryRegion, GuestRegionMmap, MemoryRegionAddress};

/// Gives `length` bytes of a region back to the host; they read as zero from then on. False where they are not all in it.
pub fn discard(region: &GuestRegionMmap, offset: MemoryRegionAddress, length: usize) -> bool {
    let inside = offset
        .checked_add(length as u64)
        .is_some_and(|end| end.raw_value() <= region.len());
    let Ok(start) = region.get_host_address(offset) else {
        return false;
    };
    // SAFETY: 1. the range is inside the mapping, which is private and anonymous, so it reads as zero afterwards
    // (madvise(2)); 2. nobody has a reference into guest memory that the change could surprise.
    inside && unsafe { libc::madvise(start.cast(), length, libc::MADV_DONTNEED) } == 0
}
