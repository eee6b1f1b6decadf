//! Atomics and cells: the processor's, or those that loom watches.

#[cfg(not(loom))]
mod chosen {
    pub use core::hint::spin_loop;
    pub use core::sync::atomic::{AtomicU32, Ordering};

    /// Stores, after all that was done before.
    #[inline]
    pub fn store_release(word: &AtomicU32, value: u32) {
        word.store(value, Ordering::Release);
    }

    /// A cell whose holder keeps others out.
    #[repr(transparent)]
    pub struct Cell<T>(core::cell::UnsafeCell<T>);

    impl<T> Cell<T> {
        pub const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        /// The value's address.
        pub fn open(&self) -> *mut T {
            self.0.get()
        }
    }

    /// What [`Cell::open`] returns: from then on until it is dropped nobody else may open the cell.
    pub type Opened<T> = *mut T;

    /// The address in it.
    pub fn address<T>(opened: &Opened<T>) -> *mut T {
        *opened
    }
}

#[cfg(loom)]
mod chosen {
    pub use loom::sync::atomic::{AtomicU32, Ordering};

    /// Who spins lets the others go on, or the model would never end.
    pub fn spin_loop() {
        loom::thread::yield_now();
    }

    /// A store comes behind every exchange that found the value before it. Loom misses that, so that who spins could find its own
    /// exchange for ever; it does order exchanges.
    pub fn store_release(word: &AtomicU32, value: u32) {
        word.swap(value, Ordering::Release);
    }

    pub struct Cell<T>(loom::cell::UnsafeCell<T>);

    impl<T> Cell<T> {
        pub fn new(value: T) -> Self {
            Self(loom::cell::UnsafeCell::new(value))
        }

        /// Loom fails the test if the cell is open already, or if it could be.
        pub fn open(&self) -> Opened<T> {
            self.0.get_mut()
        }
    }

    pub type Opened<T> = loom::cell::MutPtr<T>;

    pub fn address<T>(opened: &Opened<T>) -> *mut T {
        opened.with(|address| address)
    }
}

pub use chosen::*;
