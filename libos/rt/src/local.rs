//! State of a program: one thread, but an upcall handler may run in the middle of anything.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering, compiler_fence};

/// A value that is lent to one user at a time.
pub struct Local<T> {
    lent: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: 1. an environment has one thread; 2. `with` never lends the value twice, not even to an upcall handler.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    /// A value that nobody has borrowed yet.
    pub const fn new(value: T) -> Self {
        Self {
            lent: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Lends the value to `user`; `None` if it is lent already, that is, inside an upcall that came while it was.
    pub fn with<R>(&self, user: impl FnOnce(&mut T) -> R) -> Option<R> {
        // No locked instruction: an upcall handler that comes between the two gives back what it borrows before it goes.
        if self.lent.load(Ordering::Relaxed) {
            return None;
        }
        self.lent.store(true, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        // SAFETY: `lent` was false, so no other reference exists until it is false again.
        let result = user(unsafe { &mut *self.value.get() });
        compiler_fence(Ordering::SeqCst);
        self.lent.store(false, Ordering::Relaxed);
        Some(result)
    }
}
