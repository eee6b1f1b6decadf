//! Pages of the kernel that devices read and write.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU16, AtomicU64};

use exo_abi::address::KERNEL_BASE;

/// A page shared with the VMM.
#[repr(C, align(4096))]
pub struct SharedPage(UnsafeCell<[u64; 512]>);

// SAFETY: reached by atomic accesses only.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// A page of zeros.
    pub const fn new() -> Self {
        Self(UnsafeCell::new([0; 512]))
    }

    /// Guest-physical address.
    pub fn physical(&self) -> u64 {
        self.0.get() as u64 - KERNEL_BASE
    }

    /// The 64 bits at byte `offset`, a multiple of 8.
    pub fn word(&self, offset: usize) -> &AtomicU64 {
        let word = self.0.get().cast::<u64>().wrapping_add((offset / 8) & 511);
        // SAFETY: 1. inside the page after masking; 2. aligned; 3. the other side uses single accesses too.
        unsafe { AtomicU64::from_ptr(word) }
    }

    /// The 16 bits at byte `offset`, a multiple of 2.
    pub fn half(&self, offset: usize) -> &AtomicU16 {
        let half = self.0.get().cast::<u16>().wrapping_add((offset / 2) & 2047);
        // SAFETY: as above.
        unsafe { AtomicU16::from_ptr(half) }
    }
}
