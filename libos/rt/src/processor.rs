//! Instructions of the CPU that need no kernel.
#![allow(unsafe_code)]

/// MXCSR as the System V ABI has it at program start: all SIMD exceptions masked.
pub(crate) const MXCSR_DEFAULT: u32 = 0x1f80;

/// The time stamp counter.
pub fn time_stamp() -> u64 {
    // SAFETY: `rdtsc` has no effect but its result; the kernel does not set CR4.TSD.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Tells the CPU that this is a spin loop.
pub fn pause() {
    core::hint::spin_loop();
}

/// Orders all earlier stores before all later loads, which x86 alone does not.
pub fn fence() {
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}
