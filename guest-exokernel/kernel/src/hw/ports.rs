//! Port output: the console, the exit of the machine, the control device.

use core::arch::asm;

/// Writes a byte.
pub fn write_byte(port: u16, value: u8) {
    // SAFETY: the ports that the kernel writes are devices of the VMM, which change no memory of this program.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nostack, preserves_flags)) };
}

/// Writes 32 bits. The device may read and write memory that was handed to it before this returns.
pub fn write_word(port: u16, value: u32) {
    // SAFETY: as above; without `nomem`, so that memory is written before and read after.
    unsafe {
        asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags))
    };
}
