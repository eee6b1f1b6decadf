//! The version of this contract, and the ELF note that carries it.

/// Raised by one whenever a number, a layout or the meaning of a call changes.
pub const ABI_VERSION: u32 = 1;

/// Owner name of the ELF note in the kernel and in every libOS program, with its terminating zero.
pub const NOTE_NAME: [u8; 4] = *b"Exo\0";

/// Type of the ELF note whose descriptor is [`ABI_VERSION`] as a little-endian `u32`.
pub const NOTE_TYPE_ABI_VERSION: u32 = 1;

/// Section that carries the note.
pub const NOTE_SECTION: &str = ".note.exo";
