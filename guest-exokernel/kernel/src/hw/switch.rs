//! Into an environment, and the start of other vCPUs.

use core::ptr;

use super::assembly::TRAMPOLINE_ADDRESS;
use super::environment_pages::EnvironmentPages;
use super::{interface_page, memory, registers, vcpu};
use crate::ports::PortSet;

unsafe extern "C" {
    static trampoline: u8;
    static trampoline_end: u8;
    fn resume_environment(instruction: u64, kernel_stack: u64, status: u64) -> !;
    fn resume_saved(state: u64) -> !;
}

/// How far a forced switch is: where ring 0 cannot reach vector registers, code of ring 3 stores and loads them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// None is under way: the environment goes on where it entered the kernel, with all else clear.
    None,
    /// Code of the interface page stores vector registers; all others are saved.
    Storing,
    /// All is saved.
    Saved,
    /// Code of the interface page loads vector registers.
    Loading,
}

/// What of an environment is needed to run it.
#[derive(Clone, Copy)]
pub struct Context {
    /// Its pages.
    pub pages: EnvironmentPages,
    /// Physical address of the root of its address space.
    pub root: u64,
    /// I/O ports that it may use.
    pub ports: PortSet,
    /// What a forced switch has saved.
    pub progress: Progress,
    /// Whether a slice begins, and not what another has left of one.
    pub begins: bool,
}

impl Context {
    /// None yet.
    pub const NONE: Self = Self {
        pages: EnvironmentPages::NONE,
        root: 0,
        ports: PortSet::EMPTY,
        progress: Progress::None,
        begins: false,
    };
}

/// Makes vCPU `index` the environment's: address space, exception and slice stack, ports; no register but CR3.
pub fn attach(index: usize, context: &Context) {
    registers::set_root(context.root);
    vcpu::set_exception_stack(index, context.pages.exception_stack());
    context.ports.load(index);
    vcpu::set_slice_stack(index, context.pages.slice_stack());
}

/// The same, with segment bases as they were saved; else the code by which a turn begins clears them.
pub fn prepare(index: usize, context: &Context) {
    if context.progress == Progress::Saved {
        load_segments(context);
    }
    attach(index, context);
}

/// Runs the environment that was prepared, with every register but `rip` and `rsp` clear, and the status of its call in `rax`: it begins in the interface
/// page, whose code clears them.
pub fn resume(index: usize, context: &Context, features: u64) -> ! {
    let pages = context.pages;
    let (instruction, status) = match (interface_page::vector_code(features), context.progress) {
        (_, Progress::Saved) => resume_forced(context),
        (Some(code), Progress::Loading) => (code.load, 0),
        _ => {
            if context.begins
                && let Some((entry, stack)) = pages.begin_slice()
            {
                pages.set_resume_point(entry, stack);
            }
            let code = interface_page::turn_code(features);
            (code.begin_with_status, pages.take_resume_status())
        }
    };
    // SAFETY: 1. code of the interface page; 2. everything on the kernel stack is given up.
    unsafe { resume_environment(instruction, vcpu::kernel_stack(index), status) }
}

/// Saves what ring 0 can reach of whoever runs and was interrupted at the end of its slice.
pub fn save(context: &Context) {
    let pages = context.pages;
    pages.save_slice_frame();
    pages.save_bases(registers::segment_bases());
    let area = pages.saved_state();
    // SAFETY: the saved state begins with 512 bytes at a multiple of 16, in kernel memory.
    unsafe { core::arch::asm!("fxsave64 [{}]", in(reg) area, options(nostack, preserves_flags)) };
}

/// Lets the environment that runs store its vector registers, where only it can; it comes back by [`exo_abi::Call::VectorsMoved`].
pub fn store_vectors(index: usize, code: u64) -> ! {
    // SAFETY: as in `resume`.
    unsafe { resume_environment(code, vcpu::kernel_stack(index), 0) }
}

/// Loads what a forced switch saved of segments. Selectors are not saved: ring 3 has no use for them.
pub fn load_segments(context: &Context) {
    registers::clear_selectors();
    registers::set_segment_bases(context.pages.saved_bases());
}

/// Resumes what a forced switch saved, behind [`load_segments`]. Vector registers that ring 0 cannot reach are loaded already.
pub fn resume_forced(context: &Context) -> ! {
    // SAFETY: 1. only the kernel writes the saved state, from what ring 3 ran with; 2. everything on the kernel stack is given up.
    unsafe { resume_saved(context.pages.saved_state()) }
}

/// Starts the vCPUs `1..count`; each calls `join_machine`.
pub fn start_vcpus(count: u32) {
    let start = &raw const trampoline;
    let size = (&raw const trampoline_end) as usize - start as usize;
    memory::with_block(0, |low| {
        // SAFETY: 1. the trampoline is the kernel's; 2. its copy goes to low memory, which holds nothing that is still needed
        // and is mapped writable here.
        unsafe { ptr::copy_nonoverlapping(start, (low + TRAMPOLINE_ADDRESS) as *mut u8, size) };
    });
    for number in 1..count {
        registers::start_vcpu(number, (TRAMPOLINE_ADDRESS >> 12) as u8);
    }
}
