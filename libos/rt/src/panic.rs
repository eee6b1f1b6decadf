//! How a program ends that has found a fault in itself.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::{environment, gate, println, start};

/// Exit status of a program that panicked.
pub const PANIC_STATUS: u64 = 101;
/// Exit status of a program that took an exception which nobody handled.
pub const FAULT_STATUS: u64 = 102;

static PANICKING: AtomicBool = AtomicBool::new(false);

/// Says what happened and ends the environment.
pub fn report(information: &PanicInfo) -> ! {
    if PANICKING.swap(true, Ordering::Relaxed) {
        gate::environment_exit(PANIC_STATUS)
    }
    println!("{}: {information}", environment::name());
    start::exit(PANIC_STATUS)
}
