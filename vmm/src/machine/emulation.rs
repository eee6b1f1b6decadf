//! Instructions of ring 3 that KVM cannot emulate: mostly unusual accesses to device registers.
//!
//! By itself, KVM makes each an undefined instruction; a KVM that ends with an internal error instead gets it done here, so that
//! a libOS harms nobody but itself.
#![allow(unsafe_code)]

use kvm_ioctls::VcpuFd;

/// `KVM_INTERNAL_ERROR_EMULATION` (Linux `include/uapi/linux/kvm.h`).
const EMULATION: u32 = 1;
/// Vector of #UD.
const UNDEFINED_INSTRUCTION: u8 = 6;

/// After an internal error: whether the guest goes on with an exception instead.
pub fn make_exception(vcpu: &mut VcpuFd) -> bool {
    // SAFETY: the exit was KVM_EXIT_INTERNAL_ERROR, for which KVM has filled this member of the union; all its bits are valid.
    let kind = unsafe { vcpu.get_kvm_run().__bindgen_anon_1.internal.suberror };
    let in_ring_3 = vcpu
        .get_sregs()
        .is_ok_and(|registers| registers.cs.selector & 3 == 3);
    if kind != EMULATION || !in_ring_3 {
        return false;
    }
    let Ok(mut events) = vcpu.get_vcpu_events() else {
        return false;
    };
    if events.exception.injected != 0 {
        return false;
    }
    events.exception.injected = 1;
    events.exception.nr = UNDEFINED_INSTRUCTION;
    events.exception.has_error_code = 0;
    vcpu.set_vcpu_events(&events).is_ok()
}
