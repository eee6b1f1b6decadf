//! The kernel's calls: from a number and six registers to a status and a value.
//!
//! One shape for all: decode, check everything, commit. A refused call has changed nothing. Handlers of one subject are in one file.

mod capability;
mod device;
mod environment;
mod frame;
mod page;
mod slice;

use exo_abi::call::CALL_BASE;
use exo_abi::error::DONE;
use exo_abi::{Call, Capability, EnvironmentId, Error};

use crate::ending;
use crate::hw::switch::{self, Context};
use crate::hw::vcpu;
use crate::kernel::{Kernel, with_kernel};
use crate::scheduler;
use crate::transfer;

/// What goes back to ring 3: rax and rdx.
#[repr(C)]
pub struct Answer {
    status: u64,
    value: u64,
}

impl From<Result<u64, Error>> for Answer {
    fn from(result: Result<u64, Error>) -> Self {
        match result {
            Ok(value) => Self {
                status: DONE,
                value,
            },
            Err(error) => Self {
                status: error as u64,
                value: 0,
            },
        }
    }
}

/// What becomes of the caller.
enum Outcome {
    /// It goes on with an answer.
    Answer(Answer),
    /// Somebody else may run; where it goes on is noted, or it has ended.
    Switch,
    /// It goes on where a forced switch interrupted it.
    Restore(Context),
}

impl From<Result<u64, Error>> for Outcome {
    fn from(result: Result<u64, Error>) -> Self {
        Self::Answer(result.into())
    }
}

/// Called by gate.S with the arguments and the position of the call, which is below `CALL_COUNT`.
pub extern "C" fn handle_call(
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    e: u64,
    _f: u64,
    position: u64,
) -> Answer {
    let index = vcpu::index();
    let outcome = with_kernel(|kernel| {
        let caller = kernel.ledger.running(index);
        let Some(call) = Call::from_number(CALL_BASE.wrapping_add(position as u32)) else {
            return Err(Error::BadArgument).into();
        };
        kernel.ledger.count_call(caller, call);
        dispatch(kernel, index, caller, call, [a, b, c, d, e])
    });
    match outcome {
        Outcome::Answer(answer) => answer,
        Outcome::Switch => scheduler::run_next(index),
        Outcome::Restore(context) => switch::resume_forced(&context),
    }
}

fn dispatch(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    call: Call,
    arguments: [u64; 5],
) -> Outcome {
    let [a, b, c, d, e] = arguments;
    match call {
        Call::Null => Ok(0).into(),
        Call::EnvironmentExit => {
            kernel.ledger.record_exit(caller, a);
            ending::release_all(kernel, caller);
            Outcome::Switch
        }
        Call::EnvironmentYield => environment::environment_yield(kernel, index, caller, a),
        Call::EnvironmentWait => environment::environment_wait(kernel, index, caller, a, b),
        Call::PredicateBind => Outcome::Answer(environment::predicate_bind(kernel, caller, a)),
        Call::EnvironmentSleep => environment::environment_sleep(kernel, index, caller),
        Call::EnvironmentWake => environment::environment_wake(kernel, index, a).into(),
        Call::UpcallSet => environment::upcall_set(kernel, caller, a, b).into(),
        Call::FrameAllocate => frame::frame_allocate(kernel, caller, (a, b), c, d).into(),
        Call::CapabilityFree => capability::capability_free(kernel, caller, Capability(a)).into(),
        Call::PageMap => Outcome::Answer(page::page_map(kernel, caller, a)),
        Call::PageProtect => Outcome::Answer(page::page_protect(kernel, caller, a)),
        Call::PageUnmap => Outcome::Answer(page::page_unmap(kernel, caller, a)),
        Call::DmaMap => device::dma_map(kernel, caller, Capability(a), b, c, d).into(),
        Call::FunctionBind => device::function_bind(kernel, caller, Capability(a)).into(),
        Call::VectorsMoved => environment::vectors_moved(kernel, index, caller),
        Call::VectorBind => device::vector_bind(kernel, index, caller, Capability(a), b).into(),
        Call::CapabilityDerive => {
            capability::capability_derive(kernel, caller, Capability(a), (b, c), d, e).into()
        }
        Call::CapabilityGive => {
            capability::capability_give(kernel, caller, Capability(a), b).into()
        }
        Call::CapabilityAccept => capability::capability_accept(kernel, caller, a).into(),
        Call::CapabilityRevoke => {
            capability::capability_revoke(kernel, caller, Capability(a)).into()
        }
        Call::EventUpcallSet => environment::event_upcall_set(kernel, caller, a, b).into(),
        Call::SliceAllocate => slice::slice_allocate(kernel, index, caller, a, b, c).into(),
        Call::SliceBind => slice::slice_bind(kernel, index, caller, Capability(a)).into(),
        Call::SliceUpcallSet => slice::slice_upcall_set(kernel, caller, a, b, c).into(),
        Call::ExtentBind => {
            device::extent_bind(kernel, caller, Capability(a), Capability(b)).into()
        }
        Call::TransferAccept => transfer::accept(kernel, caller, a, b).into(),
        // They do not come this way: their registers are the message.
        Call::Transfer | Call::TransferReply | Call::TransferAsynchronous => {
            Err(Error::BadArgument).into()
        }
    }
}
