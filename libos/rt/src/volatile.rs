//! Words of memory that a device reads and writes too.

/// Two methods of a type whose `pointer(offset, size)` keeps an access inside the type's memory and aligned, or panics.
macro_rules! volatile_word {
    ($read:ident, $write:ident, $word:ty) => {
        /// Reads a word. Panics where it is outside or misaligned.
        pub fn $read(&self, offset: u64) -> $word {
            let pointer: *mut u8 = self.pointer(offset, size_of::<$word>() as u64);
            // SAFETY: `pointer` keeps it inside and aligned; volatile, because a device writes there.
            unsafe { pointer.cast::<$word>().read_volatile() }
        }

        /// Writes a word. Panics where it is outside or misaligned.
        pub fn $write(&self, offset: u64, value: $word) {
            let pointer: *mut u8 = self.pointer(offset, size_of::<$word>() as u64);
            // SAFETY: as above; no reference into this memory exists.
            unsafe { pointer.cast::<$word>().write_volatile(value) }
        }
    };
}
pub(crate) use volatile_word;
