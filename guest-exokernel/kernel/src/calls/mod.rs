//! The kernel's calls: from a number and six registers to a status and a value.
//!
//! One shape for all: decode, check everything, commit. A refused call has changed nothing. Handlers of one subject are in one file.
//! Each call is entered by a function of its own, so that nothing is looked up, copied or saved that it does not need.

mod capability;
mod creation;
mod device;
mod environment;
mod frame;
mod large_page;
mod page;
mod slice;

use exo_abi::call::CALL_COUNT;
use exo_abi::error::DONE;
use exo_abi::{Call, Capability, EnvironmentId, Error};

use self::page::Batch;
use crate::ending;
use crate::hw::environment_pages::EnvironmentPages;
use crate::hw::gate::{self, Handle, Handler};
use crate::hw::switch::Context;
use crate::hw::vcpu;
use crate::kernel::Kernel;
use crate::transfer;

/// What goes back to ring 3: rax and rdx.
#[repr(C)]
pub struct Answer {
    status: u64,
    value: u64,
}

impl From<Result<u64, Error>> for Answer {
    #[inline(always)]
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
pub enum Outcome {
    /// It goes on with an answer.
    Answer(Answer),
    /// Somebody else may run; where it goes on is noted, or it has ended.
    Switch,
    /// It goes on where a forced switch interrupted it.
    Restore(Context),
}

impl From<Result<u64, Error>> for Outcome {
    #[inline(always)]
    fn from(result: Result<u64, Error>) -> Self {
        Self::Answer(result.into())
    }
}

impl From<Answer> for Outcome {
    #[inline(always)]
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// Builds the handler of a call, with the five arguments of [`gate::enter`].
macro_rules! handler {
    (|$kernel:ident, $caller:ident, $arguments:pat_param| $work:expr) => {
        handler!(|$kernel, $caller, _pages, $arguments| $work)
    };
    (|$kernel:ident, $caller:ident, $pages:ident, $arguments:pat_param| $work:expr) => {{
        struct Called;
        impl Handle for Called {
            #[inline(always)]
            fn handle(
                $kernel: &mut Kernel,
                $caller: EnvironmentId,
                $pages: EnvironmentPages,
                $arguments: [u64; 5],
            ) -> Outcome {
                Outcome::from($work)
            }
        }
        gate::enter::<Called>
    }};
}

/// Who handles a call.
const fn handler_of(call: Call) -> Handler {
    match call {
        // The first does not come here, nor do those whose registers are the message.
        Call::Null | Call::Transfer | Call::TransferReply | Call::TransferAsynchronous => {
            handler!(|_kernel, _caller, _| Err(Error::BadArgument))
        }
        Call::EnvironmentExit => handler!(|kernel, caller, [status, ..]| {
            kernel.ledger.record_exit(caller, status);
            ending::release_all(kernel, caller);
            Outcome::Switch
        }),
        Call::EnvironmentYield => handler!(|kernel, caller, [named, ..]| {
            environment::environment_yield(kernel, vcpu::index(), caller, named)
        }),
        Call::EnvironmentWait => handler!(|kernel, caller, [seen, willing, ..]| {
            environment::environment_wait(kernel, vcpu::index(), caller, seen, willing)
        }),
        Call::PredicateBind => handler!(|kernel, caller, [terms, ..]| {
            environment::predicate_bind(kernel, caller, terms)
        }),
        Call::EnvironmentSleep => handler!(|kernel, caller, _| {
            environment::environment_sleep(kernel, vcpu::index(), caller)
        }),
        Call::EnvironmentWake => handler!(|kernel, caller, [environment, ..]| {
            environment::environment_wake(kernel, vcpu::index(), caller, environment)
        }),
        Call::UpcallSet => handler!(|kernel, caller, [entry, stack, ..]| {
            environment::upcall_set(kernel, caller, entry, stack)
        }),
        Call::FrameAllocate => handler!(|kernel, caller, [first, count, order, colour, _]| {
            frame::frame_allocate(kernel, caller, (first, count), order, colour)
        }),
        Call::CapabilityFree => handler!(|kernel, caller, [word, ..]| {
            capability::capability_free(kernel, caller, Capability(word))
        }),
        Call::PageMap => handler!(|kernel, caller, pages, arguments| {
            page::page_map(kernel, Batch::new(caller, pages, arguments))
        }),
        Call::PageProtect => handler!(|kernel, caller, pages, arguments| {
            page::page_protect(kernel, Batch::new(caller, pages, arguments))
        }),
        Call::PageUnmap => handler!(|kernel, caller, pages, arguments| {
            page::page_unmap(kernel, Batch::new(caller, pages, arguments))
        }),
        Call::DmaMap => handler!(|kernel, caller, [word, first, count, rights, _]| {
            device::dma_map(kernel, caller, Capability(word), first, count, rights)
        }),
        Call::FunctionBind => handler!(|kernel, caller, [word, ..]| {
            device::function_bind(kernel, caller, Capability(word))
        }),
        Call::VectorsMoved => handler!(|kernel, caller, _| {
            environment::vectors_moved(kernel, vcpu::index(), caller)
        }),
        Call::VectorBind => handler!(|kernel, caller, [word, vector, ..]| {
            device::vector_bind(kernel, vcpu::index(), caller, Capability(word), vector)
        }),
        Call::CapabilityDerive => handler!(|kernel, caller, [word, first, count, rights, kind]| {
            let (word, range) = (Capability(word), (first, count));
            capability::capability_derive(kernel, caller, word, range, rights, kind)
        }),
        Call::CapabilityGive => handler!(|kernel, caller, [word, environment, ..]| {
            capability::capability_give(kernel, caller, Capability(word), environment)
        }),
        Call::CapabilityAccept => handler!(|kernel, caller, [environment, ..]| {
            capability::capability_accept(kernel, caller, environment)
        }),
        Call::CapabilityRevoke => handler!(|kernel, caller, [word, ..]| {
            capability::capability_revoke(kernel, caller, Capability(word))
        }),
        Call::EventUpcallSet => handler!(|kernel, caller, [entry, stack, ..]| {
            environment::event_upcall_set(kernel, vcpu::index(), caller, entry, stack)
        }),
        Call::SliceAllocate => handler!(|kernel, caller, [vcpu, position, count, ..]| {
            slice::slice_allocate(kernel, vcpu::index(), caller, vcpu, position, count)
        }),
        Call::SliceBind => handler!(|kernel, caller, [word, ..]| {
            slice::slice_bind(kernel, vcpu::index(), caller, Capability(word))
        }),
        Call::TimerSet => handler!(|kernel, caller, [moment, ..]| {
            environment::timer_set(kernel, vcpu::index(), caller, moment)
        }),
        Call::SliceUpcallSet => handler!(|kernel, caller, [end, begin, stack, ..]| {
            slice::slice_upcall_set(kernel, caller, end, begin, stack)
        }),
        Call::ExtentBind => handler!(|kernel, caller, [extent, function, ..]| {
            device::extent_bind(kernel, caller, Capability(extent), Capability(function))
        }),
        Call::EnvironmentCreate => {
            handler!(|kernel, caller, [word, number, vcpu, frames, others]| {
                let made = (Capability(word), number);
                creation::environment_create(kernel, caller, made, vcpu, frames, others)
            })
        }
        Call::EnvironmentStart => {
            handler!(|kernel, caller, [word, number, entry, stack, argument]| {
                let (made, index) = ((Capability(word), number), vcpu::index());
                creation::environment_start(kernel, index, caller, made, (entry, stack), argument)
            })
        }
        Call::EnvironmentEnd => handler!(|kernel, caller, [word, number, status, ..]| {
            let (made, index) = ((Capability(word), number), vcpu::index());
            creation::environment_end(kernel, index, caller, made, status)
        }),
        Call::CapabilityCopy => handler!(|kernel, caller, [word, environment, ..]| {
            capability::capability_copy(kernel, caller, Capability(word), environment)
        }),
        Call::TransferAccept => handler!(|kernel, caller, [entry, stack, ..]| {
            transfer::accept(kernel, caller, entry, stack)
        }),
    }
}

/// By position: what gate.S calls.
pub static HANDLERS: [Handler; CALL_COUNT] = {
    let mut handlers = [handler_of(Call::Null); CALL_COUNT];
    let mut position = 0;
    while position < CALL_COUNT {
        handlers[position] = handler_of(Call::ALL[position]);
        position += 1;
    }
    handlers
};
