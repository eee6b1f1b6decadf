//! Protected control transfer: into another environment of the vCPU, at the entry that it has named, with the caller's registers.
//!
//! Whoever waits and is willing is entered by whoever holds a capability of kind `entry` for it. The registers are the message, so nothing
//! is saved, loaded or cleared, and a transfer is a change of address space. The last capability that an environment has used is
//! bound: its next transfer by it takes the path in transfer.S, which comes here with everything that is not plain. A path must give
//! up nothing before it has checked everything.

use exo_abi::call::CALL_BASE;
use exo_abi::environment::State;
use exo_abi::error::DONE;
use exo_abi::{Call, Capability, EnvironmentId, Error, Kind, Rights};
use exo_ledger::{Ledger, Name};

use crate::entries::{check_instruction, check_stack};
use crate::hw::environment_pages::EnvironmentPages;
use crate::hw::switch::{self, Context};
use crate::hw::transfer_notes::{Peer, Places};
use crate::hw::vcpu::{self, Turn};
use crate::kernel::{Kernel, with_kernel};
use crate::{ring, scheduler, slices, timer};

/// Who goes on, and what it finds in rax.
#[repr(C)]
pub struct Arrival {
    /// Kernel address of RIP, CS, RFLAGS, RSP, SS.
    frame: u64,
    status: u64,
}

/// Says where transfers enter the caller. The answer is the capability from which it derives those that it gives to others; there is one
/// as long as it keeps it.
pub fn accept(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    instruction: u64,
    stack: u64,
) -> Result<u64, Error> {
    check_instruction(instruction)?;
    check_stack(stack)?;
    let mut capability = kernel.environment(caller)?.entry;
    if capability == Capability::NONE {
        kernel.ledger.check_capability_quota(caller)?;
        let name = Name::new(Kind::Entry, u64::from(caller.0), 1);
        capability = kernel
            .ledger
            .add_capability(caller, name, Rights::CAPABILITY);
    }
    let environment = kernel.environment(caller)?;
    environment.entry = capability;
    environment.context.pages.set_entry(instruction, stack);
    Ok(capability.0)
}

/// Called by transfer.S for what is not plain, with rdi of the caller and the position of the call.
pub extern "C" fn handle_transfer(argument: u64, position: u64) -> Arrival {
    let index = vcpu::index();
    let arrival = with_kernel(|kernel| {
        let caller = kernel.ledger.running(index);
        if caller == EnvironmentId::NOBODY {
            // It was ended while it waited for the lock.
            return None;
        }
        let done = match Call::from_number(CALL_BASE.wrapping_add(position as u32)) {
            Some(call) => {
                kernel.ledger.count_call(caller, call);
                dispatch(kernel, index, caller, call, argument)
            }
            None => Err(Error::BadArgument),
        };
        Some(done.unwrap_or_else(|error| refused(kernel, caller, error)))
    });
    arrival.unwrap_or_else(|| scheduler::run_next(index))
}

fn dispatch(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    call: Call,
    argument: u64,
) -> Result<Arrival, Error> {
    match call {
        Call::Transfer | Call::TransferAsynchronous => {
            let capability = Capability(argument);
            let (id, target) = check(kernel, index, caller, capability)?;
            let pages = kernel.environment(caller)?.context.pages;
            target.pages.set_peer(Peer::None);
            if call == Call::Transfer {
                pages.bind(argument, target.pages);
                target.pages.set_peer(Peer::Caller(pages));
                kernel.ledger.set_state(caller, State::AwaitingReply);
                pages.set_yielded_to(false);
            } else {
                slices::add(kernel, index, caller);
                note_late(kernel, index, caller);
            }
            run(kernel, index, id, &target);
            Ok(Arrival {
                frame: target.pages.entry_place(),
                status: u64::from(caller.0),
            })
        }
        Call::TransferReply => reply(kernel, index, caller, argument),
        _ => Err(Error::BadArgument),
    }
}

/// A refused call: the caller goes on with all but rax as it was.
fn refused(kernel: &mut Kernel, caller: EnvironmentId, error: Error) -> Arrival {
    let pages = kernel
        .environment(caller)
        .map_or(EnvironmentPages::NONE, |environment| {
            environment.context.pages
        });
    Arrival {
        frame: pages.place(),
        status: error as u64,
    }
}

/// Whether the caller may transfer by this capability now, and to whom.
fn check(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    capability: Capability,
) -> Result<(EnvironmentId, Context), Error> {
    let entry = kernel.ledger.capability(caller, capability)?;
    if entry.kind != Kind::Entry as u8 {
        return Err(Error::WrongKind);
    }
    let id = EnvironmentId(entry.first as u16);
    let context = kernel.environment(id)?.context;
    if kernel.ledger.environment(id)?.vcpu as usize != index {
        return Err(Error::OtherVcpu);
    }
    if context.pages.peer() != Peer::Anybody {
        return Err(Error::Unwilling);
    }
    Ok((id, context))
}

/// Back to whoever waits for the caller's reply. The caller waits for the next transfer, or, where an event has come that it has not
/// `seen`, for its turn.
fn reply(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    seen: u64,
) -> Result<Arrival, Error> {
    let pages = kernel.environment(caller)?.context.pages;
    let Peer::Caller(client) = pages.peer() else {
        return Err(Error::BadState);
    };
    let id = client.id();
    let context = kernel.environment(id)?.context;

    pages.set_peer(Peer::None);
    if scheduler::sleep(kernel, index, caller, pages.events() != seen) {
        pages.set_peer(Peer::Anybody);
    } else {
        slices::add(kernel, index, caller);
    }
    run(kernel, index, id, &context);
    Ok(Arrival {
        frame: client.place(),
        status: DONE,
    })
}

/// Makes the vCPU this environment's, which was waiting, and leaves the registers as they are. The slice goes on.
fn run(kernel: &mut Kernel, index: usize, id: EnvironmentId, context: &Context) {
    kernel.ledger.set_state(id, State::Runnable);
    slices::start(kernel, index, id);
    context
        .pages
        .set_yielded_to(context.pages.next_in_ring().is_some());
    kernel.ledger.set_running(index, id);
    if let Some(vcpu) = kernel.vcpus.get_mut(index) {
        vcpu.left = EnvironmentId::NOBODY;
    }
    switch::attach(index, context);
    timer::arm(kernel, index);
}

/// Finds out anew with whom an environment can transfer, and yield, by the plain path, after its ports, its slices, its debt or its entries have changed.
pub fn update_terms(kernel: &mut Kernel, id: EnvironmentId) {
    let vcpu = kernel.ledger.environment(id).map_or(0, |entry| entry.vcpu);
    if let Ok(environment) = kernel.environment(id) {
        let context = &environment.context;
        let pages = context.pages;
        let special = environment.slots != 0 || environment.debt != 0 || pages.wants_slice_begin();
        pages.set_terms(vcpu as usize, context.ports.number(), special);
        pages.set_yielded_to(false);
    }
    ring::unsettle(vcpu as usize);
}

/// Who runs in the slices of an environment that is ready: itself; or, while it awaits a reply, whoever is to reply, or whoever that one
/// awaits, and so on. Nobody, where that one sleeps. Cost: linear in the chain.
pub fn who_runs_for(kernel: &mut Kernel, owner: EnvironmentId) -> Option<EnvironmentId> {
    let mut id = owner;
    loop {
        let state = kernel.ledger.environment(id).ok()?.state;
        if state == State::Runnable as u32 {
            return Some(id);
        }
        if state != State::AwaitingReply as u32 {
            return None;
        }
        // A chain has no ring: who awaits a reply is not willing.
        id = kernel.environment(id).ok()?.context.pages.target()?.id();
    }
}

/// Who has to pay where a slice of vCPU `index`, on which `running` runs, has ended too late: whoever was told of the end. Who owes the
/// credit was; else somebody who has transferred to it. Cost: linear in the chain.
pub fn who_is_late(kernel: &mut Kernel, index: usize, running: EnvironmentId) -> EnvironmentId {
    let mut id = running;
    while let Ok(environment) = kernel.environment(id) {
        let pages = environment.context.pages;
        match pages.peer() {
            Peer::Caller(client) if !pages.owes_slice_credit() => id = client.id(),
            _ if pages.owes_slice_credit() => return id,
            _ => break,
        }
    }
    let end = Turn::on(index).end();
    match kernel.vcpus.get(index).map(|vcpu| vcpu.handed_on) {
        Some((late, moment)) if moment == end => late,
        _ => id,
    }
}

/// The caller goes on later than who it enters: where its slice has ended, it has been told, and who it enters has not.
fn note_late(kernel: &mut Kernel, index: usize, caller: EnvironmentId) {
    let turn = Turn::on(index);
    if !turn.in_grace() {
        return;
    }
    let late = who_is_late(kernel, index, caller);
    if let Some(vcpu) = kernel.vcpus.get_mut(index) {
        vcpu.handed_on = (late, turn.end());
    }
}

/// An environment that is woken is no longer willing.
pub fn refuse(kernel: &mut Kernel, id: EnvironmentId) {
    if let Ok(environment) = kernel.environment(id)
        && environment.context.pages.peer() == Peer::Anybody
    {
        environment.context.pages.set_peer(Peer::None);
    }
}

/// A capability that this environment held is stale from now on, or another's.
pub fn forget(kernel: &mut Kernel, holder: EnvironmentId, capability: Capability) {
    let Ok(environment) = kernel.environment(holder) else {
        return;
    };
    if environment.context.pages.bound() == capability.0 {
        environment.context.pages.unbind();
    }
    if environment.entry == capability {
        environment.entry = Capability::NONE;
    }
}

/// An environment ends: who waits for its reply goes on with an error, and nobody will reply to it.
pub fn end(kernel: &mut Kernel, id: EnvironmentId) {
    let Ok(pages) = kernel.environment(id).map(|one| one.context.pages) else {
        return;
    };
    if let Some(target) = pages.target()
        && target.peer() == Peer::Caller(pages)
    {
        target.set_peer(Peer::None);
    }
    if let Peer::Caller(client) = pages.peer() {
        let waiting = client.id();
        client.set_resume_status(Error::Ended as u64);
        kernel.ledger.set_state(waiting, State::Runnable);
        let vcpu = kernel.ledger.environment(waiting).map(|entry| entry.vcpu);
        slices::add(kernel, vcpu.unwrap_or(0) as usize, waiting);
        client.set_yielded_to(false);
    }
    pages.set_peer(Peer::None);
}

/// Where in kernel memory what concerns an environment lies.
pub fn places(ledger: &Ledger, id: EnvironmentId, vcpu: usize) -> Places {
    let tables = ledger.tables();
    let record = ledger.environment(id).map(core::ptr::from_ref);
    let running = tables.summary.running.get(vcpu).map(core::ptr::from_ref);
    Places {
        record: record.map_or(0, |record| record as u64),
        running: running.map_or(0, |running| running as u64),
    }
}
