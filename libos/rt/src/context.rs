//! All registers of a thread of a program, kept while another thread runs.
//!
//! A personality that has several threads in one environment switches between them itself: it saves the one that was interrupted in a
//! [`Context`], and loads another. Rust code here uses no vector register beyond SSE, so the upper parts of the program's lie untouched in
//! the processor until then.
#![allow(unsafe_code)]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use exo_abi::EnvironmentId;

use crate::fault::catch_fault;
use crate::processor::MXCSR_DEFAULT;
use crate::upcall::Fault;

/// State components that are saved by `xsave` (Intel SDM volume 1, section 13.1): AVX, and the three of AVX-512. x87 and SSE lie in the
/// [`Fault`].
const COMPONENTS: u32 = 0b1110_0100;
/// Bytes that these take, whatever the processor's layout: the standard format ends with the upper 16 registers of AVX-512.
pub const EXTENDED_BYTES: usize = 2752;
/// Where the header of what `xsave` writes lies, and the word in it that says which components are there.
pub const EXTENDED_HEADER: usize = 512;
/// Where MXCSR lies in what `fxsave64` and `xsave` write.
const MXCSR: usize = 24;
/// Where the control word of x87 lies.
const CONTROL_WORD: usize = 0;
/// The control word after `fninit`.
const CONTROL_WORD_DEFAULT: u16 = 0x37f;
/// Where the SSE registers lie in what `fxsave64` writes, and their end (Intel SDM volume 1, table 10-2).
pub(crate) const VECTORS: core::ops::Range<usize> = 160..416;

/// Components that this processor has and lets ring 3 save; 0 before [`probe`].
static SAVED: AtomicU32 = AtomicU32::new(0);

/// How a [`Fault`] came to be, and so what of it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Entered {
    /// By a call: x87 and MXCSR are still in the processor, flags are lost.
    Call = 0,
    /// By an upcall: everything is there.
    Upcall = 1,
}

/// All registers of a thread.
#[derive(Clone)]
#[repr(C, align(64))]
pub struct Context {
    /// What `xsave` wrote: the parts of vector registers beyond SSE.
    pub extended: [u8; EXTENDED_BYTES],
    /// General registers, x87 and SSE.
    pub registers: Fault,
    /// Base of FS, which holds a program's thread-local storage.
    pub thread_base: u64,
}

/// Finds out what there is to save. A personality calls it once, before its program starts.
pub fn probe() {
    let components = catch_fault(|| {
        let low: u32;
        // SAFETY: reads a register; where the processor or the kernel does not let ring 3, `catch_fault` takes over.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _, options(nomem, nostack))
        };
        low
    });
    SAVED.store(
        components.unwrap_or_default() & COMPONENTS,
        Ordering::Relaxed,
    );
}

/// The components that contexts hold beyond x87 and SSE; 0: none, `extended` means nothing.
pub fn components() -> u32 {
    SAVED.load(Ordering::Relaxed)
}

/// Yields to an environment, or to anyone where it cannot run, in the midst of anything: all registers are kept that a program can have.
pub fn yield_whole(named: EnvironmentId) {
    /// As `xsave` and `fxsave64` want it.
    #[repr(C, align(64))]
    struct Kept {
        extended: [u8; EXTENDED_BYTES],
        floating_point: [u8; 512],
    }
    let mut kept = Kept {
        extended: [0; EXTENDED_BYTES],
        floating_point: [0; 512],
    };
    let base = crate::program_memory::thread_base();
    let components = components();
    // SAFETY: the array takes what is written, and is aligned.
    unsafe {
        asm!("fxsave64 [{}]", in(reg) &raw mut kept.floating_point, options(nostack, preserves_flags));
    };
    if components != 0 {
        // SAFETY: 1. `probe` found that the instruction works; 2. the array is aligned to 64 and takes these components.
        unsafe {
            asm!("xsave64 [{}]", in(reg) &raw mut kept.extended, in("eax") components, in("edx") 0, options(nostack, preserves_flags));
        };
    }
    if crate::gate::environment_yield_to(named).is_err() {
        crate::wait::yield_now();
    }
    if components != 0 {
        // SAFETY: 1. as above; 2. what is loaded is what was saved; 3. Rust code here relies on none of it but MXCSR, which is as before the call.
        unsafe {
            asm!("xrstor64 [{}]", in(reg) &raw const kept.extended, in("eax") components, in("edx") 0, options(nostack, preserves_flags));
        };
    }
    // SAFETY: what is loaded is what was saved; Rust code relies on the same of it before and after.
    unsafe {
        asm!("fxrstor64 [{}]", in(reg) &raw const kept.floating_point, options(nostack, preserves_flags));
    };
    if let Ok(base) = base {
        // It was one before.
        let _ = crate::program_memory::set_thread_base(base);
    }
}

impl Context {
    /// A thread that starts at `instruction` with its stack at `stack`, and everything else clear.
    pub const fn new(instruction: u64, stack: u64) -> Self {
        let mut registers = Fault::ZERO;
        registers.rip = instruction;
        registers.rsp = stack;
        registers.rflags = crate::system_call::FLAGS;
        let mut context = Self {
            extended: [0; EXTENDED_BYTES],
            registers,
            thread_base: 0,
        };
        let control = CONTROL_WORD_DEFAULT.to_le_bytes();
        let status = MXCSR_DEFAULT.to_le_bytes();
        context.registers.floating_point[CONTROL_WORD] = control[0];
        context.registers.floating_point[CONTROL_WORD + 1] = control[1];
        let mut index = 0;
        while index < status.len() {
            context.registers.floating_point[MXCSR + index] = status[index];
            context.extended[MXCSR + index] = status[index];
            index += 1;
        }
        context
    }

    /// Keeps what was interrupted.
    pub fn save(&mut self, from: &Fault, entered: Entered) {
        match entered {
            Entered::Upcall => self.registers = from.clone(),
            Entered::Call => {
                // SAFETY: the array is 512 bytes long, and aligned as it lies at the start of a `Fault`.
                unsafe {
                    asm!("fxsave64 [{}]", in(reg) &raw mut self.registers.floating_point, options(nostack, preserves_flags));
                };
                let x87 = self.registers.floating_point;
                self.registers = from.clone();
                self.registers.floating_point = x87;
                if let (Some(to), Some(vectors)) = (
                    self.registers.floating_point.get_mut(VECTORS),
                    from.floating_point.get(VECTORS),
                ) {
                    to.copy_from_slice(vectors);
                }
                self.registers.rflags = crate::system_call::FLAGS;
            }
        }
        let components = components();
        if components != 0 {
            // SAFETY: 1. `probe` found that the instruction works; 2. the array is aligned to 64 and takes these components.
            unsafe {
                asm!("xsave64 [{}]", in(reg) &raw mut self.extended, in("eax") components, in("edx") 0, options(nostack, preserves_flags));
            };
        }
        self.thread_base = crate::program_memory::thread_base().unwrap_or_default();
    }

    /// Makes this what goes on at the end of the upcall or call that `into` belongs to; the way out has to be the whole one.
    pub fn load(&self, into: &mut Fault) {
        *into = self.registers.clone();
        let components = components();
        if components != 0 {
            // SAFETY: 1. as in `save`; 2. who changes `extended` keeps its header valid; else this faults, and the program ends; 3. the
            // registers that it changes are not used by code of this runtime, MXCSR apart, which the way out loads again.
            unsafe {
                asm!("xrstor64 [{}]", in(reg) &raw const self.extended, in("eax") components, in("edx") 0, options(nostack, preserves_flags));
            };
        }
        // A base that was saved, or that a call has accepted, is valid.
        let _ = crate::program_memory::set_thread_base(self.thread_base);
    }
}
