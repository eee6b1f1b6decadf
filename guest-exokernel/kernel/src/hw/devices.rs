//! Registers of devices in the hole below 4 GiB, which the kernel maps uncached.

use exo_abi::address::{DEVICE_HOLE, DEVICE_HOLE_END, KERNEL_DEVICES};

/// A register, by physical address; `None` where no device can be.
fn register<T>(address: u64) -> Option<*mut T> {
    let inside = (DEVICE_HOLE..DEVICE_HOLE_END).contains(&address)
        && address.is_multiple_of(align_of::<T>() as u64);
    inside.then(|| (KERNEL_DEVICES + (address - DEVICE_HOLE)) as *mut T)
}

/// Reads a register; all ones where no device can be, as from a bus. Cost: one exit.
pub fn read<T: Copy + From<u8> + core::ops::Not<Output = T>>(address: u64) -> T {
    match register::<T>(address) {
        // SAFETY: mapped as device memory, aligned; reading a device changes no memory of this program.
        Some(register) => unsafe { register.read_volatile() },
        None => !T::from(0),
    }
}

/// Writes a register. Cost: one exit.
pub fn write<T: Copy>(address: u64, value: T) {
    if let Some(register) = register::<T>(address) {
        // SAFETY: as above; what the device does with memory is bounded by the rings that it was given.
        unsafe { register.write_volatile(value) };
    }
}
