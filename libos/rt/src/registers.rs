//! Registers of a bound device function, mapped where the program wants them.
//!
//! Each access leaves the VM, so they are for set-up only; a doorbell is the exception, its write is cheap.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use exo_abi::address::{PAGE_SHIFT, PAGE_SIZE};
use exo_abi::map::MapEntry;
use exo_abi::{Capability, Error, Rights};

use crate::gate;
use crate::volatile::volatile_word;

/// Where the runtime maps device pages, one after the other, unless told otherwise.
pub const REGISTERS_BASE: u64 = 0x1000_0000;

static NEXT: AtomicU64 = AtomicU64::new(REGISTERS_BASE);

/// Takes `pages` of the address range for device pages.
pub fn reserve_addresses(pages: u64) -> u64 {
    NEXT.fetch_add(pages * PAGE_SIZE, Ordering::Relaxed)
}

/// Mapped pages of a BAR.
pub struct Registers {
    address: u64,
    pages: u64,
}

impl Registers {
    /// Maps `pages` from the physical address `physical` on, which the function capability must cover.
    pub fn map(capability: Capability, physical: u64, pages: u64) -> Result<Self, Error> {
        let address = reserve_addresses(pages);
        gate::page_map(&[MapEntry {
            address,
            frame: physical >> PAGE_SHIFT,
            pages: pages as u32,
            rights: Rights::READ_WRITE.0,
            capability: capability.0,
        }])?;
        Ok(Self { address, pages })
    }

    /// Address of the first page.
    pub fn address(&self) -> u64 {
        self.address
    }

    volatile_word!(read_u8, write_u8, u8);
    volatile_word!(read_u16, write_u16, u16);
    volatile_word!(read_u32, write_u32, u32);

    /// Reads a 64-bit register as the two halves that virtio wants (virtio 1.2, section 4.1.3.1).
    pub fn read_u64(&self, offset: u64) -> u64 {
        u64::from(self.read_u32(offset)) | u64::from(self.read_u32(offset + 4)) << 32
    }

    /// Writes a 64-bit register as two halves.
    pub fn write_u64(&self, offset: u64, value: u64) {
        self.write_u32(offset, value as u32);
        self.write_u32(offset + 4, (value >> 32) as u32);
    }

    fn pointer(&self, offset: u64, size: u64) -> *mut u8 {
        let length = self.pages * PAGE_SIZE;
        assert!(
            offset.is_multiple_of(size) && offset <= length && size <= length - offset,
            "beyond the registers"
        );
        (self.address + offset) as *mut u8
    }
}

impl Drop for Registers {
    fn drop(&mut self) {
        let run = MapEntry {
            address: self.address,
            pages: self.pages as u32,
            ..MapEntry::default()
        };
        // Nothing uses the address range again, so a refusal leaves no more than a mapping behind.
        let _ = gate::page_unmap(&[run]);
    }
}
