//! Memory that devices reach: pages of the heap that stand in the environment's DMA domain.
//!
//! A device may write it at any time, so nobody gets a reference into it: bytes are copied in and out.
#![allow(unsafe_code)]

use alloc::alloc::{alloc_zeroed, dealloc};
use core::alloc::Layout;
use core::arch::asm;
use core::sync::atomic::{AtomicU16, Ordering};

use exo_abi::address::{PAGE_SHIFT, PAGE_SIZE, pages_for};
use exo_abi::{Capability, Error, Rights};

use crate::volatile::volatile_word;
use crate::{environment, family, gate, window};

/// Pages, zeroed, contiguous also for a device.
pub struct DmaMemory {
    start: *mut u8,
    pages: u64,
    /// The DMA capability; none: devices do not reach it.
    mapping: Capability,
}

impl DmaMemory {
    /// Takes memory for `bytes` out of the heap and lets the environment's functions read and write it.
    pub fn allocate(bytes: u64) -> Result<Self, Error> {
        Self::allocate_with(bytes, Rights::READ_WRITE)
    }

    /// The same with the rights that devices get.
    pub fn allocate_with(bytes: u64, rights: Rights) -> Result<Self, Error> {
        let mut memory = Self::allocate_private(bytes)?;
        memory.mapping = gate::dma_map(
            environment::grant_capability(),
            memory.first_frame(),
            memory.pages,
            rights,
        )?;
        Ok(memory)
    }

    /// The same without a DMA mapping: devices must not reach it.
    pub fn allocate_private(bytes: u64) -> Result<Self, Error> {
        let pages = pages_for(bytes.max(1));
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc_zeroed(layout(pages)) };
        if start.is_null() {
            Err(Error::Exhausted)
        } else {
            Ok(Self {
                start,
                pages,
                mapping: Capability::NONE,
            })
        }
    }

    /// Bytes in it.
    pub fn len(&self) -> u64 {
        self.pages * PAGE_SIZE
    }

    /// Never: there is at least a page.
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// Frame number of its first page.
    pub fn first_frame(&self) -> u64 {
        self.physical(0) >> PAGE_SHIFT
    }

    /// What a device calls the byte at `offset`: its physical address. Panics beyond the end.
    pub fn physical(&self, offset: u64) -> u64 {
        assert!(offset <= self.len(), "beyond DMA memory");
        let start = self.start as u64;
        let physical = window::physical(start).or_else(|| family::physical(start));
        physical.expect("the heap lies in the frame window or is a family's") + offset
    }

    volatile_word!(read_u8, write_u8, u8);
    volatile_word!(read_u16, write_u16, u16);
    volatile_word!(read_u32, write_u32, u32);
    volatile_word!(read_u64, write_u64, u64);

    /// Reads a ring index so that what the device wrote before it is seen.
    pub fn load_index(&self, offset: u64) -> u16 {
        self.index(offset).load(Ordering::Acquire)
    }

    /// Writes a ring index after all that was written before.
    pub fn store_index(&self, offset: u64, value: u16) {
        self.index(offset).store(value, Ordering::Release);
    }

    /// Copies bytes out. Panics beyond the end.
    pub fn copy_out(&self, offset: u64, to: &mut [u8]) {
        let from = self.range(offset, to.len() as u64);
        // SAFETY: 1. `range` keeps the source inside; 2. the target is a slice of other memory; 3. by an instruction that
        // the compiler does not look into, because a device may write meanwhile.
        unsafe {
            asm!("rep movsb", inout("rsi") from => _, inout("rdi") to.as_mut_ptr() => _, inout("rcx") to.len() => _,
                options(nostack, preserves_flags));
        }
    }

    /// Copies bytes in. Panics beyond the end.
    pub fn copy_in(&self, offset: u64, from: &[u8]) {
        let to = self.range(offset, from.len() as u64);
        // SAFETY: as in `copy_out`, the other way.
        unsafe {
            asm!("rep movsb", inout("rsi") from.as_ptr() => _, inout("rdi") to => _, inout("rcx") from.len() => _,
                options(nostack, preserves_flags));
        }
    }

    fn index(&self, offset: u64) -> &AtomicU16 {
        // SAFETY: 1. `pointer` keeps it inside and aligned; 2. an atomic may be shared with a device; 3. it lives as `self`.
        unsafe { AtomicU16::from_ptr(self.pointer(offset, 2) as *mut u16) }
    }

    fn pointer(&self, offset: u64, size: u64) -> *mut u8 {
        assert!(
            offset.is_multiple_of(size),
            "misaligned access to DMA memory"
        );
        self.range(offset, size)
    }

    fn range(&self, offset: u64, size: u64) -> *mut u8 {
        assert!(
            offset <= self.len() && size <= self.len() - offset,
            "beyond DMA memory"
        );
        self.start.wrapping_add(offset as usize)
    }
}

impl Drop for DmaMemory {
    fn drop(&mut self) {
        // Only when no device can reach it any more may the heap have it back.
        if self.mapping == Capability::NONE || gate::capability_free(self.mapping).is_ok() {
            // SAFETY: `allocate` got it with this layout.
            unsafe { dealloc(self.start, layout(self.pages)) };
        }
    }
}

fn layout(pages: u64) -> Layout {
    Layout::from_size_align((pages * PAGE_SIZE) as usize, PAGE_SIZE as usize)
        .expect("DMA memory beyond isize::MAX")
}
