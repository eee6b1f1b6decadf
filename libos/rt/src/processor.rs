//! Instructions of the CPU that need no kernel.
#![allow(unsafe_code)]

/// MXCSR as the System V ABI has it at program start: all SIMD exceptions masked.
pub(crate) const MXCSR_DEFAULT: u32 = 0x1f80;

/// Bytes below the stack pointer that code may use without moving it (System V ABI for x86-64, section 3.2.2).
pub(crate) const RED_ZONE: u64 = 128;

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

/// A random number of the processor (`rdrand`), or, where it has none, of the clock.
pub fn random() -> u64 {
    let number = crate::fault::catch_fault(|| {
        let (number, valid): (u64, u8);
        // SAFETY: `rdrand` changes its register and flags; where the processor lacks it, `catch_fault` takes over.
        unsafe {
            core::arch::asm!("rdrand {}", "setc {}", out(reg) number, out(reg_byte) valid, options(nomem, nostack));
        }
        (valid != 0).then_some(number)
    });
    match number {
        Ok(Some(number)) => number,
        // The finaliser of splitmix64, so that neighbouring times differ in all bits.
        Ok(None) | Err(_) => {
            let mut mixed = time_stamp();
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }
    }
}

/// Frequency of the time stamp counter in kHz; 0 where nobody told.
pub fn time_stamp_khz() -> u64 {
    crate::shared::INTERFACE.word(core::mem::offset_of!(
        exo_abi::interface_page::InterfacePage,
        tsc_khz
    ))
}
