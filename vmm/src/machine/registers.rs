//! Registers of a vCPU: what PVH prescribes at the start, and what is worth seeing at a bad end.

use kvm_bindings::{kvm_regs, kvm_segment};
use kvm_ioctls::VcpuFd;
use vm_memory::Bytes;

use super::memory_map::START_INFO;
use super::translation::translate;
use crate::error::Error;
use crate::memory::GuestMemory;

/// Puts the boot vCPU into the state that PVH prescribes: 32-bit protected mode, flat segments, no paging.
pub fn set_boot_state(vcpu: &VcpuFd, entry: u32) -> Result<(), Error> {
    let mut special = vcpu
        .get_sregs()
        .map_err(|error| Error::system("reading registers (KVM_GET_SREGS)", error))?;
    let data = kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector: 0x10,
        type_: 3, // read and write, accessed
        present: 1,
        dpl: 0,
        db: 1,
        s: 1,
        l: 0,
        g: 1,
        avl: 0,
        unusable: 0,
        padding: 0,
    };
    let code = kvm_segment {
        selector: 0x8,
        type_: 0xb,
        ..data
    };
    let task = kvm_segment {
        selector: 0x18,
        type_: 0xb,
        limit: 0x67,
        db: 0,
        s: 0,
        g: 0,
        ..data
    };
    special.cs = code;
    special.ds = data;
    special.es = data;
    special.fs = data;
    special.gs = data;
    special.ss = data;
    special.tr = task;
    special.gdt.limit = 0;
    special.idt.limit = 0;
    special.cr0 = 0x11; // PE, and ET, which is fixed
    special.cr4 = 0;
    special.efer = 0;
    vcpu.set_sregs(&special)
        .map_err(|error| Error::system("setting registers (KVM_SET_SREGS)", error))?;
    let general = kvm_regs {
        rip: u64::from(entry),
        rbx: START_INFO,
        rflags: 2,
        ..Default::default()
    };
    vcpu.set_regs(&general)
        .map_err(|error| Error::system("setting registers (KVM_SET_REGS)", error))
}

/// The registers as text, several lines, with the bytes at RIP where they can be read.
pub fn describe(vcpu: &VcpuFd, memory: &GuestMemory) -> String {
    let (Ok(g), Ok(s)) = (vcpu.get_regs(), vcpu.get_sregs()) else {
        return "registers cannot be read".into();
    };
    let mut code = String::new();
    if let Some(physical) = translate(vcpu, memory, g.rip) {
        let mut bytes = [0; 16];
        let read = memory.read(&mut bytes, physical).unwrap_or(0);
        for byte in bytes.iter().take(read) {
            code.push_str(&format!(" {byte:02x}"));
        }
    }
    format!(
        "rip={:#018x} rsp={:#018x} rflags={:#x} cs={:#x} ss={:#x} cpl={}\n\
         cr0={:#x} cr2={:#x} cr3={:#x} cr4={:#x} efer={:#x}\n\
         rax={:#x} rbx={:#x} rcx={:#x} rdx={:#x} rsi={:#x} rdi={:#x} rbp={:#x}\n\
         r8={:#x} r9={:#x} r10={:#x} r11={:#x} r12={:#x} r13={:#x} r14={:#x} r15={:#x}\n\
         gdt={:#x}+{:#x} idt={:#x}+{:#x} tr={:#x}@{:#x} fs={:#x} gs={:#x}\n\
         code at rip:{code}",
        g.rip,
        g.rsp,
        g.rflags,
        s.cs.selector,
        s.ss.selector,
        s.ss.dpl,
        s.cr0,
        s.cr2,
        s.cr3,
        s.cr4,
        s.efer,
        g.rax,
        g.rbx,
        g.rcx,
        g.rdx,
        g.rsi,
        g.rdi,
        g.rbp,
        g.r8,
        g.r9,
        g.r10,
        g.r11,
        g.r12,
        g.r13,
        g.r14,
        g.r15,
        s.gdt.base,
        s.gdt.limit,
        s.idt.base,
        s.idt.limit,
        s.tr.selector,
        s.tr.base,
        s.fs.base,
        s.gs.base,
    )
}
