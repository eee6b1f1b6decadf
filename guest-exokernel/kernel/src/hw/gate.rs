//! Where gate.S meets Rust: one function for each call, which finds the kernel's lock taken and the call counted.

use exo_abi::EnvironmentId;

use super::environment_pages::EnvironmentPages;
use super::{shootdown, switch, vcpu};
use crate::calls::{Answer, Outcome};
use crate::kernel::{KERNEL, Kernel};
use crate::scheduler;

/// What a call does, with its five arguments.
pub trait Handle {
    /// The caller is who runs, and `pages` are its own.
    fn handle(
        kernel: &mut Kernel,
        caller: EnvironmentId,
        pages: EnvironmentPages,
        arguments: [u64; 5],
    ) -> Outcome;
}

/// What gate.S calls: five arguments, and the number and the place of the caller.
pub type Handler = unsafe extern "C" fn(u64, u64, u64, u64, u64, u64, u64) -> Answer;

/// Handles a call. gate.S has taken the lock and begun the change of the exported tables; where this returns, it ends the one and frees the other.
///
/// # Safety
///
/// This vCPU has taken the kernel's lock, and made no guard of it.
pub unsafe extern "C" fn enter<H: Handle>(
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    e: u64,
    caller: u64,
    place: u64,
) -> Answer {
    // SAFETY: as the caller says.
    let mut guard = unsafe { KERNEL.taken() };
    // SAFETY: ring 3 runs only after boot has made the state, and it stays.
    let kernel = unsafe { guard.as_mut().unwrap_unchecked() };
    let caller = EnvironmentId(caller as u16);
    let pages = EnvironmentPages::at(place);
    let outcome = H::handle(kernel, caller, pages, [a, b, c, d, e]);
    if let Outcome::Answer(answer) = outcome {
        guard.leave_taken();
        return answer;
    }
    kernel.ledger.end_change();
    drop(guard);
    match outcome {
        Outcome::Answer(answer) => answer,
        Outcome::Switch => scheduler::run_next(vcpu::index()),
        Outcome::Restore(context) => switch::resume_forced(&context),
    }
}

/// Called by gate.S where another vCPU has the lock: takes it when that is done.
pub extern "C" fn wait_for_lock() {
    let mut has_ended = false;
    let guard = KERNEL.lock(|| has_ended |= shootdown::serve_here());
    if has_ended {
        // The other one has ended the caller.
        drop(guard);
        scheduler::run_next(vcpu::index());
    }
    guard.leave_taken();
}
