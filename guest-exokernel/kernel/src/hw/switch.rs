//! Into an environment, and the start of other vCPUs.

use core::ptr;

use super::assembly::TRAMPOLINE_ADDRESS;
use super::environment_pages::EnvironmentPages;
use super::{interface_page, memory, registers, vcpu};
use crate::ports::PortSet;

unsafe extern "C" {
    static trampoline: u8;
    static trampoline_end: u8;
    fn resume_environment(instruction: u64, stack: u64, kernel_stack: u64, rcx: u64) -> !;
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
}

impl Context {
    /// None yet.
    pub const NONE: Self = Self {
        pages: EnvironmentPages::NONE,
        root: 0,
        ports: PortSet::EMPTY,
    };
}

/// Makes vCPU `index` the environment's: address space, segment bases, exception stack, ports.
pub fn prepare(index: usize, context: &Context) {
    registers::set_root(context.root);
    registers::clear_segment_bases();
    vcpu::set_exception_stack(index, context.pages.exception_stack());
    context.ports.load(index);
}

/// Runs the environment that was prepared, with every register but `rip` and `rsp` clear. Where ring 3 must clear vector
/// registers itself, it starts with the code of the interface page that does; `rcx` then tells where it goes on.
pub fn resume(index: usize, context: &Context, features: u64) -> ! {
    let (goes_on, stack) = context.pages.resume_point();
    let (instruction, rcx) = match interface_page::clearing_code(features) {
        Some(code) => (code, goes_on),
        None => (goes_on, 0),
    };
    // SAFETY: 1. all but the kernel stack is used in ring 3 only; 2. everything on the kernel stack is given up.
    unsafe { resume_environment(instruction, stack, vcpu::kernel_stack(index), rcx) }
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
