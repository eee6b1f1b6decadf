//! What remains when an exception is no ordinary upcall: aborts, and the kernel's own faults.

use exo_abi::environment::AbortReason;
use exo_abi::port::ExitCode;
use exo_abi::upcall::Vector;

use crate::ending;
use crate::hw::{console, registers, vcpu};
use crate::kernel::with_kernel;
use crate::scheduler;

/// Called by upcall.S, on the kernel stack, with the address of what the CPU pushed, when the credit for an upcall was not there.
pub extern "C" fn abort_environment(pushed: u64, vector: u64) -> ! {
    let index = vcpu::index();
    let address = registers::fault_address();
    let (reason, fault) = with_kernel(|kernel| {
        let caller = kernel.ledger.running(index);
        let Ok(environment) = kernel.environment(caller) else {
            return (AbortReason::NoUpcall, [vector, 0, 0, 0]);
        };
        let pages = environment.context.pages;
        let reason = if pages.upcall(vector) == 0 {
            AbortReason::NoUpcall
        } else {
            AbortReason::NestedFault
        };
        let has_code = Vector::from_number(vector).is_some_and(Vector::has_error_code);
        let (error_code, instruction) = if has_code {
            (pages.pushed_word(pushed), pushed + 8)
        } else {
            (0, pushed)
        };
        let address = if vector == Vector::PageFault as u64 {
            address
        } else {
            0
        };
        (
            reason,
            [vector, error_code, pages.pushed_word(instruction), address],
        )
    });
    abort_current(index, reason, fault)
}

/// Ends whoever runs on this vCPU, and runs the next.
fn abort_current(index: usize, reason: AbortReason, fault: [u64; 4]) -> ! {
    with_kernel(|kernel| {
        let caller = kernel.ledger.running(index);
        kernel.ledger.record_abort(caller, reason, fault);
        ending::release_all(kernel, caller);
    });
    scheduler::run_next(index)
}

/// Called by upcall.S for an exception in ring 0, or one that nobody can have caused.
pub extern "C" fn report_kernel_fault(pushed: u64, vector: u64) -> ! {
    let address = registers::fault_address();
    console::end_machine_because(
        ExitCode::Panic,
        format_args!(
            "exception {vector} in the kernel, frame at {pushed:#x}, fault address {address:#x}"
        ),
    )
}

#[panic_handler]
fn panic(information: &core::panic::PanicInfo) -> ! {
    console::end_machine_because(ExitCode::Panic, format_args!("{information}"))
}
