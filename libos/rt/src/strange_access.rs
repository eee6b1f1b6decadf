//! Accesses to device registers by instructions that no driver uses, and that a hypervisor has to emulate or refuse.
#![allow(unsafe_code)]

use core::arch::asm;

use crate::fault::{FaultRecord, catch_fault};
use crate::probe::refuse_own_memory;
use crate::processor::MXCSR_DEFAULT;

/// An instruction with a memory operand at `rdi`.
#[derive(Clone, Copy)]
pub struct Access {
    /// Assembly.
    pub name: &'static str,
    function: fn(u64),
}

impl Access {
    /// Executes it on an address that must be no memory of the program.
    pub fn execute(&self, address: u64) -> Result<(), FaultRecord> {
        refuse_own_memory(address);
        catch_fault(|| (self.function)(address))
    }
}

macro_rules! accesses {
    ($($name:literal;)+) => {
        /// All of them.
        pub const ACCESSES: &[Access] = &[$(Access {
            name: $name,
            function: |address| {
                // SAFETY: 1. no Rust object lives at the address, as checked; 2. stack and x87 are put back; 3. where it faults,
                // `catch_fault` takes over.
                unsafe {
                    asm!(
                        "mov r8, rsp",
                        $name,
                        "mov rsp, r8",
                        "cld",
                        "fninit",
                        "push {mxcsr}",
                        "ldmxcsr dword ptr [rsp]",
                        "pop rax",
                        mxcsr = const MXCSR_DEFAULT,
                        inout("rdi") address => _, inout("rsi") address => _, inout("rcx") 512u64 => _,
                        out("rax") _, out("rdx") _, out("r8") _, out("xmm0") _, out("xmm1") _,
                    )
                };
            },
        }),+];
    };
}

accesses! {
    "rep movsb";
    "rep stosb";
    "rep lodsq";
    "repe cmpsb";
    "std; rep movsq";
    "movaps [rdi], xmm0";
    "movaps xmm0, [rdi]";
    "movntdq [rdi], xmm0";
    "movnti [rdi], rax";
    "maskmovdqu xmm0, xmm1";
    "vmovdqu [rdi], ymm0";
    "vmovdqu64 [rdi], zmm0";
    "fxsave64 [rdi]";
    "fxrstor64 [rdi]";
    "fnsave [rdi]";
    "fnstenv [rdi]";
    "fld tbyte ptr [rdi]";
    "xsave64 [rdi]";
    "stmxcsr [rdi]";
    "lock xadd [rdi], rax";
    "lock cmpxchg8b [rdi]";
    "lock cmpxchg16b [rdi]";
    "xchg [rdi], rax";
    "lock add qword ptr [rdi + 4092], 1";
    "mov [rdi + 4093], rax";
    "mov rax, [rdi + 4095]";
    "movups [rdi + 4090], xmm0";
    "bts [rdi], rcx";
    "mov ss, [rdi]";
    "mov fs, [rdi]";
    "clflush [rdi]";
    "prefetchw [rdi]";
    "jmp qword ptr [rdi]";
    "call qword ptr [rdi]";
    "call fword ptr [rdi]";
    "jmp rdi";
    "lea rsp, [rdi + 64]; push rax; pop rax; pushfq; popfq";
    "lea rsp, [rdi + 64]; call 2f; 2:";
    "lea rsp, [rdi + 64]; iretq";
    "lea rsp, [rdi + 64]; ud2";
    "lea rsp, [rdi + 64]; int3";
}
