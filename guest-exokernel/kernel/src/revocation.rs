//! Visible revocation and the abort protocol: the host asks, the kernel asks an environment, and at the deadline takes what is due.
//!
//! What is asked and how much of it is the host's policy. The kernel keeps, for each environment, at most one open request, and a list of
//! the environments that have one. A request is over when the environment holds no more than its goal; what it gives back for that is its
//! choice. At the deadline bindings are taken, the newest first, some at a time, so that nobody waits long for the kernel. What the
//! environment started with is never taken.

use exo_abi::capability::REVOKE_BATCH;
use exo_abi::control::Command;
use exo_abi::revocation::{HostRequest, Repossession, RevocationEvent, RevocationKind};
use exo_abi::{Capability, EnvironmentId, Error};

use crate::hw::registers;
use crate::kernel::Kernel;
use crate::{control_device, ending, interrupts, scheduler, timer};

/// Bindings that are taken, or passed over, before others get the kernel: about as many as one `capability_revoke` takes.
const BATCH: u64 = REVOKE_BATCH;
/// Ticks from one batch to the next, in which others get the kernel.
const PAUSE: u64 = 20_000;

/// The open request of an environment.
#[derive(Clone, Copy)]
pub struct Open {
    /// Its number; 0: there is none.
    serial: u64,
    /// What is asked.
    kind: RevocationKind,
    /// How much was asked.
    count: u64,
    /// How much the environment may still hold.
    goal: u32,
    /// When the kernel takes the rest.
    deadline: u64,
    /// Whether something was taken by force.
    forced: bool,
    /// The next binding to look at when the rest is taken; none: the newest.
    cursor: Capability,
    /// Who has an open request, too.
    next: EnvironmentId,
}

impl Open {
    /// No request.
    pub const NONE: Self = Self {
        serial: 0,
        kind: RevocationKind::Frames,
        count: 0,
        goal: 0,
        deadline: 0,
        forced: false,
        cursor: Capability::NONE,
        next: EnvironmentId::NOBODY,
    };
}

/// The host has something to ask: fetches one request, on vCPU `index`, which this is. The VMM interrupts again while it has more.
pub fn handle_request(kernel: &mut Kernel, index: usize) {
    let Ok([request, serial, a, b, c, d]) = control_device::run_for_answer(Command::RequestFetch)
    else {
        return;
    };
    match HostRequest::from_number(request) {
        Some(HostRequest::Limit) => {
            kernel.ledger.set_frames_limit(a);
            let nobody = EnvironmentId::NOBODY;
            log(kernel, RevocationEvent::Limited, nobody, 0, serial, (a, 0));
        }
        Some(HostRequest::Revoke) => {
            let id = EnvironmentId(u16::try_from(a).unwrap_or(0));
            let kind = u8::try_from(b).unwrap_or(0);
            let request = Request {
                serial,
                kind,
                count: c,
                ticks: d,
            };
            if let Err(error) = ask(kernel, index, id, request) {
                let refusal = (error as u64, c);
                log(kernel, RevocationEvent::Refused, id, kind, serial, refusal);
            }
            set_alarm(kernel, index);
        }
        Some(HostRequest::None) | None => {}
    }
}

/// What the host asks of an environment.
struct Request {
    serial: u64,
    /// Number of a [`RevocationKind`], not checked yet.
    kind: u8,
    count: u64,
    /// Ticks of the time stamp counter to the deadline.
    ticks: u64,
}

/// Opens a request, and tells the environment. Order of checks: environment, kind, count, whether one is open, whether it has ended.
fn ask(
    kernel: &mut Kernel,
    index: usize,
    id: EnvironmentId,
    request: Request,
) -> Result<(), Error> {
    let Request {
        serial,
        kind,
        count,
        ticks,
    } = request;
    kernel.ledger.environment(id)?;
    let asked = RevocationKind::from_number(kind).ok_or(Error::WrongKind)?;
    if count == 0 {
        return Err(Error::BadCount);
    }
    if kernel.environment(id)?.revocation.serial != 0 {
        return Err(Error::InUse);
    }
    if !kernel.ledger.is_alive(id) {
        return Err(Error::BadState);
    }

    let held = kernel.ledger.amount_held(id, asked);
    let goal = match asked {
        RevocationKind::Vcpus => 0,
        _ => held.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX)),
    };
    let deadline = registers::time_stamp().saturating_add(ticks);
    let open = Open {
        serial,
        kind: asked,
        count,
        goal,
        deadline,
        forced: false,
        cursor: Capability::NONE,
        next: kernel.first_revocation,
    };
    kernel.first_revocation = id;
    let environment = kernel.environment(id)?;
    environment.revocation = open;
    let pages = environment.context.pages;
    pages.write_revocation(serial, asked, count, u64::from(goal), deadline);
    pages.raise_events();
    log(
        kernel,
        RevocationEvent::Asked,
        id,
        kind,
        serial,
        (deadline, count),
    );
    scheduler::wake(kernel, index, id);
    interrupts::announce(kernel, id);
    check_answer(kernel, id);
    Ok(())
}

/// The environment holds less than before: if it is no more than its goal, its request is over. Constant cost but for the end of the
/// request.
pub fn check_answer(kernel: &mut Kernel, id: EnvironmentId) {
    let Ok(environment) = kernel.environment(id) else {
        return;
    };
    let open = environment.revocation;
    if open.serial == 0 || kernel.ledger.amount_held(id, open.kind) > open.goal {
        return;
    }
    match open.forced {
        false => close(kernel, id, RevocationEvent::Given, open.count),
        true => close(kernel, id, RevocationEvent::Ended, 0),
    }
}

/// The environment has ended: nothing is to be had from it any more.
pub fn forget(kernel: &mut Kernel, id: EnvironmentId) {
    if kernel
        .environment(id)
        .is_ok_and(|environment| environment.revocation.serial != 0)
    {
        close(kernel, id, RevocationEvent::Ended, 0);
    }
}

/// Ends the open request of an environment. Cost: linear in the open requests.
fn close(kernel: &mut Kernel, id: EnvironmentId, event: RevocationEvent, count: u64) {
    let Ok(environment) = kernel.environment(id) else {
        return;
    };
    let open = core::mem::replace(&mut environment.revocation, Open::NONE);
    environment.context.pages.write_answered(open.serial);
    if kernel.first_revocation == id {
        kernel.first_revocation = open.next;
    } else {
        let mut before = kernel.first_revocation;
        while let Ok(environment) = kernel.environment(before) {
            if environment.revocation.next == id {
                environment.revocation.next = open.next;
                break;
            }
            before = environment.revocation.next;
        }
    }
    log(kernel, event, id, open.kind as u8, open.serial, (0, count));
}

/// A deadline has come, perhaps: takes what is due, on vCPU `index`, which this is. Cost: one batch per environment that is late.
pub fn handle_alarm(kernel: &mut Kernel, index: usize) {
    let now = registers::time_stamp();
    let mut next = kernel.first_revocation;
    while let Ok(environment) = kernel.environment(next) {
        let (id, open) = (next, environment.revocation);
        next = open.next;
        if open.deadline <= now {
            take(kernel, index, id, open);
        }
    }
    set_alarm(kernel, index);
}

/// Sets the alarm of vCPU `index`, which this is, for the first deadline. One that has passed has more to be taken.
fn set_alarm(kernel: &mut Kernel, index: usize) {
    let soon = registers::time_stamp().saturating_add(PAUSE);
    let mut moment = timer::NEVER;
    let mut next = kernel.first_revocation;
    while let Ok(environment) = kernel.environment(next) {
        moment = moment.min(environment.revocation.deadline.max(soon));
        next = environment.revocation.next;
    }
    timer::set_alarm(kernel, index, moment);
    timer::arm(kernel, index);
}

/// Takes one batch of bindings by force, the newest first, until the environment holds no more than its goal.
fn take(kernel: &mut Kernel, index: usize, id: EnvironmentId, open: Open) {
    // The binding at which the last batch ended may be gone: then from the newest again.
    let valid = kernel.ledger.capability(id, open.cursor).is_ok();
    let mut next = match valid {
        true => Some(open.cursor),
        false => kernel.ledger.newest_capability(id),
    };
    for _ in 0..BATCH {
        let Some(capability) = next else {
            let left = kernel
                .ledger
                .amount_held(id, open.kind)
                .saturating_sub(open.goal);
            return close(kernel, id, RevocationEvent::Ended, u64::from(left));
        };
        if kernel.ledger.amount_of(id, capability, open.kind) == 0 {
            next = kernel.ledger.older_capability(id, capability);
            continue;
        }
        // What was derived from it goes first, DMA rights included: then nothing is in flight to a frame that is given back.
        if !ending::revoke_below(kernel, capability, BATCH) {
            next = Some(capability);
            break;
        }
        next = kernel.ledger.older_capability(id, capability);
        repossess(kernel, index, id, open.serial, capability);
        if kernel
            .environment(id)
            .is_ok_and(|environment| environment.revocation.serial == 0)
        {
            return;
        }
    }
    if let Ok(environment) = kernel.environment(id) {
        environment.revocation.cursor = next.unwrap_or(Capability::NONE);
    }
}

/// Takes one binding, from which nothing is derived, and tells the environment and everybody.
fn repossess(
    kernel: &mut Kernel,
    index: usize,
    id: EnvironmentId,
    serial: u64,
    capability: Capability,
) {
    let Ok(&entry) = kernel.ledger.capability(id, capability) else {
        return;
    };
    if let Ok(environment) = kernel.environment(id) {
        environment.revocation.forced = true;
        let pages = environment.context.pages;
        pages.add_repossession(&Repossession {
            capability: capability.0,
            first: entry.first,
            count: entry.count,
            request: serial & 0xffff_ffff | u64::from(entry.kind) << 32,
        });
        pages.raise_events();
    }
    let taken = (entry.first, entry.count);
    log(
        kernel,
        RevocationEvent::Taken,
        id,
        entry.kind,
        serial,
        taken,
    );
    ending::release(kernel, id, capability, &entry);
    scheduler::wake(kernel, index, id);
    interrupts::announce(kernel, id);
}

fn log(
    kernel: &mut Kernel,
    event: RevocationEvent,
    id: EnvironmentId,
    kind: u8,
    serial: u64,
    what: (u64, u64),
) {
    let now = registers::time_stamp();
    kernel
        .ledger
        .log_revocation(event, id, kind, serial, now, what);
}
