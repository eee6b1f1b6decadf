//! Environments that sleep until a moment, per vCPU: a binary heap of their numbers, the earliest first.

use exo_abi::EnvironmentId;
use exo_abi::environment::ENVIRONMENTS_MAX;

use crate::kernel::Kernel;

/// The sleepers of a vCPU.
pub struct Sleepers {
    heap: [EnvironmentId; ENVIRONMENTS_MAX],
    count: usize,
}

impl Sleepers {
    /// Nobody.
    pub const NONE: Self = Self {
        heap: [EnvironmentId::NOBODY; ENVIRONMENTS_MAX],
        count: 0,
    };
}

/// When the first sleeper of vCPU `index` wants to be woken.
pub fn first(kernel: &mut Kernel, index: usize) -> Option<u64> {
    (count(kernel, index) != 0).then(|| moment_at(kernel, index, 0))
}

/// Takes out the first sleeper whose moment is not later than `now`.
pub fn take_due(kernel: &mut Kernel, index: usize, now: u64) -> Option<EnvironmentId> {
    if first(kernel, index)? > now {
        return None;
    }
    let id = at(kernel, index, 0);
    remove(kernel, index, id);
    Some(id)
}

/// Puts in an environment that is not there.
pub fn insert(kernel: &mut Kernel, index: usize, id: EnvironmentId, moment: u64) {
    let place = count(kernel, index);
    if place >= ENVIRONMENTS_MAX {
        return;
    }
    let Ok(environment) = kernel.environment(id) else {
        return;
    };
    environment.wake_at = moment;
    set_count(kernel, index, place + 1);
    put(kernel, index, place, id);
    rise(kernel, index, place);
}

/// Takes out an environment, if it is there.
pub fn remove(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    let Ok(environment) = kernel.environment(id) else {
        return;
    };
    let Some(place) = core::mem::take(&mut environment.sleeper).checked_sub(1) else {
        return;
    };
    let last = count(kernel, index).saturating_sub(1);
    let moved = at(kernel, index, last);
    set_count(kernel, index, last);
    if place != last {
        put(kernel, index, place, moved);
        rise(kernel, index, place);
        sink(kernel, index, place);
    }
}

fn count(kernel: &Kernel, index: usize) -> usize {
    kernel
        .vcpus
        .get(index)
        .map_or(0, |vcpu| vcpu.sleepers.count)
}

fn set_count(kernel: &mut Kernel, index: usize, count: usize) {
    if let Some(vcpu) = kernel.vcpus.get_mut(index) {
        vcpu.sleepers.count = count;
    }
}

fn at(kernel: &Kernel, index: usize, place: usize) -> EnvironmentId {
    let id = kernel
        .vcpus
        .get(index)
        .and_then(|vcpu| vcpu.sleepers.heap.get(place));
    id.copied().unwrap_or(EnvironmentId::NOBODY)
}

fn moment_at(kernel: &mut Kernel, index: usize, place: usize) -> u64 {
    let id = at(kernel, index, place);
    kernel
        .environment(id)
        .map_or(u64::MAX, |environment| environment.wake_at)
}

/// Writes a place; the environment knows its own.
fn put(kernel: &mut Kernel, index: usize, place: usize, id: EnvironmentId) {
    if let Some(slot) = kernel
        .vcpus
        .get_mut(index)
        .and_then(|vcpu| vcpu.sleepers.heap.get_mut(place))
    {
        *slot = id;
    }
    if let Ok(environment) = kernel.environment(id) {
        environment.sleeper = place + 1;
    }
}

fn exchange(kernel: &mut Kernel, index: usize, a: usize, b: usize) {
    let (first, second) = (at(kernel, index, a), at(kernel, index, b));
    put(kernel, index, a, second);
    put(kernel, index, b, first);
}

/// Moves a place up until its parent is not later.
fn rise(kernel: &mut Kernel, index: usize, mut place: usize) {
    while place != 0 {
        let parent = (place - 1) / 2;
        if moment_at(kernel, index, parent) <= moment_at(kernel, index, place) {
            return;
        }
        exchange(kernel, index, parent, place);
        place = parent;
    }
}

/// Moves a place down until its children are not earlier.
fn sink(kernel: &mut Kernel, index: usize, mut place: usize) {
    loop {
        let left = 2 * place + 1;
        let mut earliest = place;
        for child in [left, left + 1] {
            if child < count(kernel, index)
                && moment_at(kernel, index, child) < moment_at(kernel, index, earliest)
            {
                earliest = child;
            }
        }
        if earliest == place {
            return;
        }
        exchange(kernel, index, place, earliest);
        place = earliest;
    }
}
