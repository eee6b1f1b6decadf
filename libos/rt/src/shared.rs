//! Words of the pages that the kernel shares with this environment, always read and written whole.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

use exo_abi::address::{CALL_PAGE, ENVIRONMENT_PAGE, INTERFACE_PAGE, PAGE_SIZE};
use exo_abi::environment::UPCALL_CREDIT;

/// One of the pages that every environment has.
pub(crate) struct SharedPage(u64);

/// The environment page: read only.
pub(crate) const ENVIRONMENT: SharedPage = SharedPage(ENVIRONMENT_PAGE);
/// The kernel interface page: read only.
pub(crate) const INTERFACE: SharedPage = SharedPage(INTERFACE_PAGE);
/// The call page.
pub(crate) const CALLS: SharedPage = SharedPage(CALL_PAGE);

impl SharedPage {
    /// The 8-byte word at `offset`.
    pub(crate) fn word(&self, offset: usize) -> u64 {
        let address = self.address_of(offset, 8) as *const u64;
        // SAFETY: 1. the kernel maps these pages into every environment for good; 2. `address_of` keeps the access inside
        // and aligned; 3. volatile, because the kernel writes them.
        unsafe { address.read_volatile() }
    }

    /// The 4-byte word at `offset`.
    pub(crate) fn half_word(&self, offset: usize) -> u32 {
        let address = self.address_of(offset, 4) as *const u32;
        // SAFETY: as in `word`.
        unsafe { address.read_volatile() }
    }
}

impl SharedPage {
    fn address_of(&self, offset: usize, size: usize) -> u64 {
        assert!(offset.is_multiple_of(size) && offset + size <= PAGE_SIZE as usize);
        self.0 + offset as u64
    }
}

/// Writes the 8-byte word at `offset` of the call page.
pub(crate) fn write_call_word(offset: usize, value: u64) {
    let address = CALLS.address_of(offset, 8) as *mut u64;
    // SAFETY: 1. the call page is writable; 2. `address_of` keeps the access inside; 3. no Rust object lives there.
    unsafe { address.write_volatile(value) }
}

/// Writes the 4-byte word at `offset` of the call page.
pub(crate) fn write_call_half_word(offset: usize, value: u32) {
    let address = CALLS.address_of(offset, 4) as *mut u32;
    // SAFETY: as in `write_call_word`.
    unsafe { address.write_volatile(value) }
}

/// Gives the kernel the credit for one more upcall of a kind, whose word lies at `offset` of the call page.
pub(crate) fn give_credit(offset: usize) {
    write_call_half_word(offset, upcalls_taken(offset) | UPCALL_CREDIT);
}

/// Takes that credit back; whether it was there. The kernel may take it at any time, so that is one instruction.
pub(crate) fn take_credit(offset: usize) -> bool {
    let address = CALLS.address_of(offset, 4) as *mut u32;
    // SAFETY: 1. the call page is writable; 2. `address_of` keeps the access inside and aligned; 3. everybody changes it whole.
    let credit = unsafe { AtomicU32::from_ptr(address) };
    credit.fetch_and(!UPCALL_CREDIT, Ordering::Relaxed) & UPCALL_CREDIT != 0
}

/// Upcalls of that kind so far.
pub(crate) fn upcalls_taken(offset: usize) -> u32 {
    CALLS.half_word(offset) & !UPCALL_CREDIT
}

/// A copy of entry `index` of an exported table that starts at `start`.
///
/// # Safety
/// The interface page names a table of more than `index` entries at `start`, and any bits are a valid `T`.
pub(crate) unsafe fn table_entry<T: Copy>(start: u64, index: u64) -> T {
    let entry = (start + index * size_of::<T>() as u64) as *const T;
    // SAFETY: 1. the caller vouches for table and index; 2. the tables stay mapped for good; 3. volatile and by copy,
    // because the kernel writes them meanwhile.
    unsafe { entry.read_volatile() }
}
