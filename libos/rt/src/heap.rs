//! The heap: what the memory grant has above the stacks, by a first-fit allocator.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};

use linked_list_allocator::Heap as FreeList;

use crate::local::Local;
use crate::window;

/// The global allocator of a program.
pub struct Heap(Local<Option<FreeList>>);

impl Heap {
    /// A heap that takes its memory when it is first asked.
    pub const fn new() -> Self {
        Self(Local::new(None))
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

fn take_grant() -> FreeList {
    let start = window::slice_stack_top();
    let size = window::grant_end().saturating_sub(start) as usize;
    let mut list = FreeList::empty();
    // SAFETY: 1. the frame window shows the grant, writable, for good; 2. above the stacks nothing else uses it; 3. only
    // this heap, of which a program has one, does this, and only once.
    unsafe { list.init(start as *mut u8, size) };
    list
}

// SAFETY: 1. `allocate_first_fit` returns memory for the layout, used by nobody else; 2. no function here unwinds.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // While it is lent, an upcall came inside the allocator: nothing can be had then.
        self.0
            .with(|list| {
                list.get_or_insert_with(take_grant)
                    .allocate_first_fit(layout)
                    .ok()
            })
            .flatten()
            .map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(pointer) = NonNull::new(pointer) else {
            return;
        };
        self.0.with(|list| {
            if let Some(list) = list {
                // SAFETY: the caller got `pointer` from `alloc` with this layout.
                unsafe { list.deallocate(pointer, layout) };
            }
        });
    }
}
