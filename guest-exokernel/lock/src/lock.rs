//! The spin lock.
#![allow(unsafe_code)]

use core::ops::{Deref, DerefMut};

use crate::atomic::{AtomicU32, Cell, Opened, Ordering, address, spin_loop, store_release};

/// The flag while somebody holds the lock.
const TAKEN: u32 = 1;
/// The flag while nobody does.
const FREE: u32 = 0;

/// A spin lock. Its holder is never interrupted: interrupts are off wherever the kernel runs.
///
/// The flag, 32 bits, is at offset [`Lock::FLAG`]. Assembly takes the lock as Rust does: a locked instruction sets bit 0,
/// and it has the lock if that was clear; it frees it by storing 0. On contention it leaves the rest to Rust, which serves neighbours while it waits.
#[repr(C)]
pub struct Lock<T> {
    flag: AtomicU32,
    value: Cell<T>,
}

// SAFETY: the value is reached through a guard only, and there is one guard at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// Offset of the flag.
    pub const FLAG: usize = 0;

    /// A free lock.
    #[cfg(not(loom))]
    pub const fn new(value: T) -> Self {
        Self {
            flag: AtomicU32::new(FREE),
            value: Cell::new(value),
        }
    }

    /// A free lock.
    #[cfg(loom)]
    pub fn new(value: T) -> Self {
        Self {
            flag: AtomicU32::new(FREE),
            value: Cell::new(value),
        }
    }

    /// Takes the lock. While another has it, calls `serve` again and again: the holder may be waiting for this vCPU.
    /// Cost, uncontended: one exchange.
    #[inline]
    pub fn lock(&self, mut serve: impl FnMut()) -> Guard<'_, T> {
        while self.flag.swap(TAKEN, Ordering::Acquire) != FREE {
            serve();
            spin_loop();
        }
        Guard {
            opened: self.value.open(),
            _release: Release(&self.flag),
        }
    }

    /// A guard of the lock that the caller has taken by assembly.
    ///
    /// # Safety
    ///
    /// Whoever runs this has set the flag, and there is no guard.
    #[inline]
    pub unsafe fn taken(&self) -> Guard<'_, T> {
        Guard {
            opened: self.value.open(),
            _release: Release(&self.flag),
        }
    }
}

impl<T> Guard<'_, T> {
    /// Leaves it to assembly to free the lock.
    #[inline]
    pub fn leave_taken(self) {
        let Self { _release, .. } = self;
        core::mem::forget(_release);
    }
}

/// Holds a [`Lock`]; dropping it frees the lock. Its fields are dropped in their order: the value is closed when the flag is cleared.
pub struct Guard<'l, T> {
    opened: Opened<T>,
    _release: Release<'l>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard is the only one.
        unsafe { &*address(&self.opened) }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard is the only one.
        unsafe { &mut *address(&self.opened) }
    }
}

/// Clears the flag when it is dropped.
struct Release<'l>(&'l AtomicU32);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        store_release(self.0, FREE);
    }
}
