//! Hosts whose KVM does not see the debug exceptions of ring 3 (shadow KVM): they enter the guest's kernel as any exception does.
//!
//! So the vCPU stops at the kernel's entry instead, with a debug register; what the CPU has pushed there tells where ring 3 was, and the vCPU
//! is put back to that moment. The guest has noticed nothing. Breakpoints of ring 3 are `int3` in its code, a step is its trap flag.

use std::path::Path;

use exo_abi::call::CALL_BASE;
use kvm_bindings::{kvm_regs, kvm_segment};
use kvm_ioctls::VcpuFd;
use object::{Object, ObjectSymbol};
use vm_memory::{Address, Bytes};

use super::patches::Patches;
use crate::error::Error;
use crate::machine::translation::translate;
use crate::memory::GuestMemory;

/// RFLAGS: trap after the next instruction.
pub const TRAP_FLAG: u64 = 1 << 8;
/// Selector bits that are the privilege level.
const LEVEL: u64 = 3;

/// Where exceptions of ring 3 enter the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Entries {
    /// Any `int3`.
    pub gate: u64,
    /// An `int3` that is no kernel call; the number in rax has been counted from the first call then.
    pub breakpoint: u64,
    /// A debug exception.
    pub debug: u64,
}

impl Entries {
    /// Finds them by the kernel's symbols.
    pub fn read(kernel: &Path) -> Result<Self, Error> {
        let bad = |reason: String| {
            Error::BadInput(format!(
                "kernel {}: {reason}; build it with scripts/build",
                kernel.display()
            ))
        };
        let data = std::fs::read(kernel)
            .map_err(|error| Error::file("kernel", kernel, &error, "run scripts/build"))?;
        let file = object::File::parse(&*data).map_err(|error| bad(error.to_string()))?;
        let address = |name: &str| {
            file.symbol_by_name(name)
                .map(|symbol| symbol.address())
                .ok_or_else(|| bad(format!("it has no symbol {name}")))
        };
        Ok(Self {
            gate: address("gate_breakpoint")?,
            breakpoint: address("reflect_breakpoint")?,
            debug: address("upcall_1")?,
        })
    }

    /// The entry to stop at for `int3`: the first of all, at every call, only while some are not in memory.
    pub fn for_breakpoints(&self, patches: &Patches) -> u64 {
        match patches.are_waiting() {
            true => self.gate,
            false => self.breakpoint,
        }
    }
}

/// What a vCPU that has stopped is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Something for the debugger.
    Plain,
    /// An `int3` of ours in ring 3, to which the vCPU is put back.
    Breakpoint,
    /// An instruction of ring 3 was done with the trap flag, and the vCPU is put back behind it.
    Step,
    /// An entry at which the debugger wants nothing.
    Nothing,
}

/// Looks what a vCPU has stopped at, and puts it back to ring 3 if that is where it comes from.
pub fn look(vcpu: &VcpuFd, memory: &GuestMemory, entries: &Entries, patches: &mut Patches) -> Stop {
    let Ok(registers) = vcpu.get_regs() else {
        return Stop::Plain;
    };
    let Some(frame) = Frame::read(vcpu, memory, registers.rsp) else {
        return Stop::Plain;
    };
    let from_ring_3 = frame.cs & LEVEL == LEVEL;
    if registers.rip == entries.debug && from_ring_3 {
        frame.restore(
            vcpu,
            kvm_regs {
                rip: frame.rip,
                ..registers
            },
        );
        return Stop::Step;
    }
    let rax = match registers.rip {
        rip if rip == entries.gate => registers.rax,
        rip if rip == entries.breakpoint => registers.rax.wrapping_add(u64::from(CALL_BASE)),
        _ => return Stop::Plain,
    };
    if from_ring_3 {
        patches.apply(vcpu);
    }
    let instruction = frame.rip.wrapping_sub(1);
    if !from_ring_3 || !patches.contain(instruction) {
        return Stop::Nothing;
    }
    frame.restore(
        vcpu,
        kvm_regs {
            rip: instruction,
            rax,
            ..registers
        },
    );
    Stop::Breakpoint
}

/// What the CPU pushes for an exception without an error code (Intel SDM volume 3, figure 6-9).
struct Frame {
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

impl Frame {
    fn read(vcpu: &VcpuFd, memory: &GuestMemory, address: u64) -> Option<Self> {
        let start = translate(vcpu, memory, address)?;
        let mut words = [0; 5];
        for (word, offset) in words.iter_mut().zip((0..).step_by(size_of::<u64>())) {
            *word = memory.read_obj(start.checked_add(offset)?).ok()?;
        }
        let [rip, cs, rflags, rsp, ss] = words;
        Some(Self {
            rip,
            cs,
            rflags,
            rsp,
            ss,
        })
    }

    /// Makes the vCPU what it was before the exception. What KVM refuses shows in gdb as a place in the kernel.
    fn restore(&self, vcpu: &VcpuFd, registers: kvm_regs) {
        let Ok(mut special) = vcpu.get_sregs() else {
            return;
        };
        let segment = kvm_segment {
            base: 0,
            limit: u32::MAX,
            selector: self.cs as u16,
            type_: 0xb, // execute and read, accessed
            present: 1,
            dpl: LEVEL as u8,
            db: 0,
            s: 1,
            l: 1,
            g: 1,
            ..kvm_segment::default()
        };
        special.cs = segment;
        special.ss = kvm_segment {
            selector: self.ss as u16,
            type_: 3, // read and write, accessed
            db: 1,
            l: 0,
            ..segment
        };
        if vcpu.set_sregs(&special).is_ok() {
            // With the segments set, these are too.
            let _ = vcpu.set_regs(&kvm_regs {
                rsp: self.rsp,
                rflags: self.rflags & !TRAP_FLAG,
                ..registers
            });
        }
    }
}
