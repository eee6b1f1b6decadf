//! Who is next on a vCPU: the slice vector, and the ring of those who own no slot in it.
//!
//! The position moves through the slots of the vector. A slot whose owner is ready runs it; every other slot serves the ring, and is
//! passed over while that is empty. Who is ready is a mask of slots, so the cost is the same among any number.
//!
//! An environment that owns slots is not in the ring ([`ring`]), and its slots stay ready while it runs.

use exo_abi::capability::CapabilityEntry;
use exo_abi::environment::State;
use exo_abi::slice::SLICES;
use exo_abi::{Capability, EnvironmentId, Error};

use crate::hw::switch::Progress;
use crate::hw::turn_notes::pages_at;
use crate::hw::vcpu::Turn;
use crate::kernel::Kernel;
use crate::{ring, transfer};

const _: () = assert!(SLICES == u64::BITS as usize, "masks of slots are words");

/// Turns that a penalty can cost in a row.
const DEBT_MAX: u32 = 8;

/// Whether somebody else could run on vCPU `index` than who does, or awaits a reply.
pub fn has_rival(kernel: &mut Kernel, index: usize) -> bool {
    let running = kernel.ledger.running(index);
    let environment = kernel.environment(running);
    let (own, pages) = environment.map_or((0, None), |one| (one.slots, Some(one.context.pages)));
    let alone = pages_at(Turn::on(index).current()).is_none_or(|last| {
        last.next_in_ring() == Some(last)
            && (Some(last) == pages || !is_runnable(kernel, last.id()))
    });
    !alone
        || kernel
            .vcpus
            .get(index)
            .is_some_and(|vcpu| vcpu.ready & !own != 0)
}

/// Lets an environment that does not run, and could not or has just stopped, have its turns on vCPU `index`.
pub fn add(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    let Ok(environment) = kernel.environment(id) else {
        return;
    };
    let (slots, pages) = (environment.slots, environment.context.pages);
    // What a forced switch has saved is no matter of the plain path.
    let plain = environment.context.progress == Progress::None && !pages.has_resume_status();
    let runs = kernel.ledger.running(index) == id;
    if runs && let Some(vcpu) = kernel.vcpus.get_mut(index) {
        vcpu.left = id;
    }
    if slots != 0 {
        if let Some(vcpu) = kernel.vcpus.get_mut(index) {
            vcpu.ready |= slots;
        }
        return ring::unsettle(index);
    }
    let last = pages_at(Turn::on(index).current());
    if pages.next_in_ring().is_some() {
        if runs && last == Some(pages) {
            return;
        }
        ring::remove(index, pages);
    }
    ring::insert(kernel, index, pages);
    pages.set_yielded_to(plain);
}

/// Takes an environment that is to end out of wherever it waits for its turn on vCPU `index`, if it does.
pub fn forget(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    if let Some(vcpu) = kernel.vcpus.get_mut(index)
        && vcpu.donated == id
    {
        vcpu.donated = EnvironmentId::NOBODY;
    }
    stop(kernel, index, id);
}

/// Makes the slots of an environment its own again that runs on vCPU `index` without having been added.
pub fn start(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    let slots = kernel.environment(id).map_or(0, |one| one.slots);
    if slots == 0 {
        return;
    }
    if let Some(vcpu) = kernel.vcpus.get_mut(index) {
        vcpu.ready |= slots;
    }
    ring::unsettle(index);
}

/// Gives an environment no more turns on vCPU `index`, until [`add`].
pub fn stop(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    let Ok(environment) = kernel.environment(id) else {
        return;
    };
    let (slots, pages) = (environment.slots, environment.context.pages);
    if let Some(vcpu) = kernel.vcpus.get_mut(index) {
        vcpu.ready &= !slots;
    }
    ring::remove(index, pages);
}

/// Makes an environment miss its next turn.
pub fn punish(kernel: &mut Kernel, id: EnvironmentId) {
    kernel.ledger.count_penalty(id);
    if let Ok(environment) = kernel.environment(id) {
        environment.debt = (environment.debt + 1).min(DEBT_MAX);
    }
    transfer::update_terms(kernel, id);
}

/// Moves the position of vCPU `index` to the next slot that serves somebody: who.
pub fn next(kernel: &mut Kernel, index: usize) -> Option<EnvironmentId> {
    loop {
        let id = advance(kernel, index)?;
        let environment = kernel.environment(id).ok()?;
        let Some(debt) = environment.debt.checked_sub(1) else {
            return Some(id);
        };
        // Its turn is what it pays with. The debts of all are finite, so somebody runs in the end.
        environment.debt = debt;
        transfer::update_terms(kernel, id);
    }
}

fn advance(kernel: &mut Kernel, index: usize) -> Option<EnvironmentId> {
    loop {
        let vcpu = kernel.vcpus.get_mut(index)?;
        let following = (vcpu.position + 1) % SLICES;
        let last = pages_at(Turn::on(index).current());
        let slot = match (last, vcpu.ready) {
            (None, 0) => return None,
            (None, ready) => {
                let distance = ready.rotate_right(following as u32).trailing_zeros() as usize;
                (following + distance) % SLICES
            }
            _ => following,
        };
        vcpu.position = slot;
        if vcpu.ready >> slot & 1 == 0 {
            let next = last?.next_in_ring()?;
            if is_runnable(kernel, next.id()) {
                Turn::on(index).set_current(next.place());
                return Some(next.id());
            }
            // It gets its turns again with the reply.
            ring::remove(index, next);
            continue;
        }
        let owner = kernel.ledger.slice_owner(index, slot);
        match transfer::who_runs_for(kernel, owner) {
            Some(id) if id == owner => return Some(id),
            Some(id) => {
                if kernel.environment(id).is_ok_and(|one| one.slots == 0) {
                    ring::move_to(kernel, index, id);
                }
                return Some(id);
            }
            // As above.
            None => stop(kernel, index, owner),
        }
    }
}

/// Makes `count` slots of vCPU `index` from `first` on those of `owner`, which runs there, or nobody's. Cost: linear in count.
pub fn assign(kernel: &mut Kernel, index: usize, first: u64, count: u64, owner: EnvironmentId) {
    for slot in (first..first + count).map(|slot| slot as usize) {
        let before = kernel.ledger.slice_owner(index, slot);
        if before != owner {
            leave(kernel, index, before, slot);
            kernel.ledger.set_slice_owner(index, slot, owner);
            join(kernel, index, owner, slot);
        }
    }
}

/// Gives back the slots that the holder of a capability has bound by it.
pub fn release(kernel: &mut Kernel, capability: Capability, entry: &CapabilityEntry) {
    if entry.bound == 0 {
        return;
    }
    let heir = kernel.ledger.heir_of_slices(capability);
    let index = entry.resource as usize;
    for slot in entry.first..entry.first + entry.count {
        if kernel.ledger.slice_owner(index, slot as usize) == entry.holder {
            assign(kernel, index, slot, 1, heir);
        }
    }
}

/// `count` free slots in a row on vCPU `index`: the first.
pub fn find_free(kernel: &Kernel, index: usize, count: u64) -> Result<u64, Error> {
    let is_free =
        |slot: u64| kernel.ledger.slice_owner(index, slot as usize) == EnvironmentId::NOBODY;
    let mut free = 0;
    for slot in 0..SLICES as u64 {
        free = if is_free(slot) { free + 1 } else { 0 };
        if free == count {
            return Ok(slot + 1 - count);
        }
    }
    Err(Error::Exhausted)
}

/// Whether an environment could run on vCPU `index`, and does not.
fn waits_for_turn(kernel: &Kernel, index: usize, id: EnvironmentId) -> bool {
    let left = kernel.vcpus.get(index).is_some_and(|vcpu| vcpu.left == id);
    is_runnable(kernel, id) && (left || kernel.ledger.running(index) != id)
}

fn is_runnable(kernel: &Kernel, id: EnvironmentId) -> bool {
    let entry = kernel.ledger.environment(id);
    entry.is_ok_and(|entry| entry.state == State::Runnable as u32)
}

/// A slot is no longer that of `id`, which goes to the ring with its last.
fn leave(kernel: &mut Kernel, index: usize, id: EnvironmentId, slot: usize) {
    let bit = 1 << slot;
    if let Some(vcpu) = kernel.vcpus.get_mut(index) {
        vcpu.ready &= !bit;
    }
    let waits = waits_for_turn(kernel, index, id);
    let Ok(environment) = kernel.environment(id) else {
        return;
    };
    environment.slots &= !bit;
    if environment.slots == 0 && waits {
        add(kernel, index, id);
    }
    transfer::update_terms(kernel, id);
}

/// A slot is that of `id` from now on, which leaves the ring with its first.
fn join(kernel: &mut Kernel, index: usize, id: EnvironmentId, slot: usize) {
    let bit = 1 << slot;
    let runnable = is_runnable(kernel, id);
    let Ok(environment) = kernel.environment(id) else {
        return;
    };
    environment.slots |= bit;
    let pages = environment.context.pages;
    ring::remove(index, pages);
    transfer::update_terms(kernel, id);
    if runnable && let Some(vcpu) = kernel.vcpus.get_mut(index) {
        vcpu.ready |= bit;
    }
}
