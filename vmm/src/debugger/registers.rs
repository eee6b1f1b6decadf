//! Registers of a stopped vCPU, as gdb orders them.

use gdbstub_arch::x86::reg::{X86_64CoreRegs, X86SegmentRegs, X87FpuInternalRegs};
use kvm_bindings::{kvm_fpu, kvm_regs};
use kvm_ioctls::VcpuFd;

/// Bytes of an x87 register; KVM keeps each in 16.
const X87_BYTES: usize = 10;

/// Reads all registers that gdb asks for.
pub fn read(vcpu: &VcpuFd) -> Result<X86_64CoreRegs, kvm_ioctls::Error> {
    let general = vcpu.get_regs()?;
    let special = vcpu.get_sregs()?;
    let float = vcpu.get_fpu()?;
    let mut registers = X86_64CoreRegs {
        regs: [
            general.rax,
            general.rbx,
            general.rcx,
            general.rdx,
            general.rsi,
            general.rdi,
            general.rbp,
            general.rsp,
            general.r8,
            general.r9,
            general.r10,
            general.r11,
            general.r12,
            general.r13,
            general.r14,
            general.r15,
        ],
        eflags: general.rflags as u32,
        rip: general.rip,
        segments: X86SegmentRegs {
            cs: u32::from(special.cs.selector),
            ss: u32::from(special.ss.selector),
            ds: u32::from(special.ds.selector),
            es: u32::from(special.es.selector),
            fs: u32::from(special.fs.selector),
            gs: u32::from(special.gs.selector),
        },
        fpu: X87FpuInternalRegs {
            fctrl: u32::from(float.fcw),
            fstat: u32::from(float.fsw),
            ftag: u32::from(float.ftwx),
            fop: u32::from(float.last_opcode),
            fioff: float.last_ip as u32,
            fooff: float.last_dp as u32,
            ..X87FpuInternalRegs::default()
        },
        xmm: float.xmm.map(u128::from_le_bytes),
        mxcsr: float.mxcsr,
        ..X86_64CoreRegs::default()
    };
    for (to, from) in registers.st.iter_mut().zip(&float.fpr) {
        if let Some((number, _)) = from.split_first_chunk::<X87_BYTES>() {
            *to = *number;
        }
    }
    Ok(registers)
}

/// Writes general and floating-point registers. Segments stay: whoever loads another selector wants its descriptor, too.
pub fn write(vcpu: &VcpuFd, registers: &X86_64CoreRegs) -> Result<(), kvm_ioctls::Error> {
    let [
        rax,
        rbx,
        rcx,
        rdx,
        rsi,
        rdi,
        rbp,
        rsp,
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
    ] = registers.regs;
    vcpu.set_regs(&kvm_regs {
        rax,
        rbx,
        rcx,
        rdx,
        rsi,
        rdi,
        rbp,
        rsp,
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
        rip: registers.rip,
        rflags: u64::from(registers.eflags),
    })?;
    let mut float = kvm_fpu {
        fcw: registers.fpu.fctrl as u16,
        fsw: registers.fpu.fstat as u16,
        ftwx: registers.fpu.ftag as u8,
        xmm: registers.xmm.map(u128::to_le_bytes),
        mxcsr: registers.mxcsr,
        ..vcpu.get_fpu()?
    };
    for (to, from) in float.fpr.iter_mut().zip(&registers.st) {
        for (byte, value) in to.iter_mut().zip(from) {
            *byte = *value;
        }
    }
    vcpu.set_fpu(&float)
}
