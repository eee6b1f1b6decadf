//! The family's heap: a first-fit allocator that takes chunk after chunk of what the founder was granted.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering;

use exo_abi::address::PAGE_SIZE;
use linked_list_allocator::Heap as FreeList;

use super::{CHUNK_BYTES, FAMILY_BASE, Header, header, map_address, with_lock};

/// The global allocator of a program of a family.
pub struct Heap;

impl Heap {
    /// Lends the list of what is free.
    fn with<R>(&self, user: impl FnOnce(&mut FreeList, &Header) -> R) -> R {
        let header = header();
        // SAFETY: 1. the family's lock is held by whoever uses the heap, so nobody else does; 2. an upcall that comes inside the
        // allocator maps chunks and does no more.
        with_lock(|| user(unsafe { &mut *header.list.get() }, header))
    }
}

/// Adds chunks for `layout` to the heap; false where its limit does not allow that.
fn grow(list: &mut FreeList, header: &Header, layout: Layout) -> bool {
    let bytes = header.bytes.load(Ordering::Relaxed);
    let room = header.limit.load(Ordering::Relaxed) - bytes;
    let wanted = (layout.size() as u64).saturating_add(layout.align() as u64 + PAGE_SIZE);
    let Some(more) = wanted
        .checked_next_multiple_of(CHUNK_BYTES)
        .filter(|&more| more <= room)
    else {
        return false;
    };
    for offset in (bytes..bytes + more).step_by(CHUNK_BYTES as usize) {
        header.bytes.store(offset + CHUNK_BYTES, Ordering::Release);
        if !map_address(FAMILY_BASE + offset) {
            header.bytes.store(offset, Ordering::Release);
            return false;
        }
        // SAFETY: the chunk is mapped, lies behind what the list has, and nobody uses it.
        unsafe { list.extend(CHUNK_BYTES as usize) };
    }
    true
}

// SAFETY: 1. `allocate_first_fit` returns memory for the layout, used by nobody else; 2. no function here unwinds.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.with(|list, header| {
            let first = list.allocate_first_fit(layout).ok();
            let pointer = first.or_else(|| {
                grow(list, header, layout)
                    .then(|| list.allocate_first_fit(layout).ok())
                    .flatten()
            });
            pointer.map_or(null_mut(), NonNull::as_ptr)
        })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(pointer) = NonNull::new(pointer) else {
            return;
        };
        // SAFETY: the caller got `pointer` from `alloc` with this layout.
        self.with(|list, _| unsafe { list.deallocate(pointer, layout) });
    }
}
