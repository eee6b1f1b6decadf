//! The ring of each vCPU, of those who own no slot of its vector.
//!
//! It goes on behind whoever had a turn in it last. Whoever runs stands in it too, unless a transfer has entered it: so a yield is
//! one load, and while no owner of a slot is ready it takes the plain path (`yield.S`), which leaves the position where it is. [`settle`] says
//! when that may be; [`unsettle`] is called where that may be no more. Who awaits a reply stays in the ring, and is dropped when its turn
//! comes.

use exo_abi::EnvironmentId;

use crate::hw::environment_pages::EnvironmentPages;
use crate::hw::switch::Progress;
use crate::hw::turn_notes::pages_at;
use crate::hw::vcpu::Turn;
use crate::kernel::Kernel;
use crate::timer;

/// Puts an environment at the end of the turns of vCPU `index`.
pub fn insert(kernel: &mut Kernel, index: usize, pages: EnvironmentPages) {
    let turn = Turn::on(index);
    let Some(last) = pages_at(turn.current()) else {
        pages.link(pages);
        return turn.set_current(pages.place());
    };
    let running = kernel.ledger.running(index);
    if kernel
        .environment(running)
        .is_ok_and(|one| one.context.pages == last)
    {
        // It will be behind whoever runs only when that one's next turn has come.
        last.previous_in_ring().link(pages);
        pages.link(last);
    } else {
        insert_behind(index, last, pages);
    }
}

/// Puts an environment behind who had the last turn on vCPU `index`, as if it were its own.
fn insert_behind(index: usize, last: EnvironmentPages, pages: EnvironmentPages) {
    let next = last.next_in_ring().unwrap_or(last);
    last.link(pages);
    pages.link(next);
    Turn::on(index).set_current(pages.place());
}

/// Takes an environment out of the ring of vCPU `index`, where it is in it.
pub fn remove(index: usize, pages: EnvironmentPages) {
    let Some(next) = pages.next_in_ring() else {
        return;
    };
    let (previous, turn) = (pages.previous_in_ring(), Turn::on(index));
    pages.leave_ring();
    if next == pages {
        turn.set_current(0);
    } else {
        previous.link(next);
        if turn.current() == pages.place() {
            turn.set_current(previous.place());
        }
    }
    unsettle(index);
}

/// An environment that owns no slot has a turn on vCPU `index` out of turn: the next one comes after all others.
pub fn move_to(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    let Ok(pages) = kernel.environment(id).map(|one| one.context.pages) else {
        return;
    };
    remove(index, pages);
    match pages_at(Turn::on(index).current()) {
        Some(last) => insert_behind(index, last, pages),
        None => insert(kernel, index, pages),
    }
}

/// Looks whether the next yield of whoever runs on vCPU `index` may take the plain path: it stands in the ring, with others, no owner of a slot is
/// ready, its slice is as long as any, and the timer knows.
pub fn settle(kernel: &mut Kernel, index: usize) {
    let running = kernel.ledger.running(index);
    let Ok(context) = kernel.environment(running).map(|one| one.context) else {
        return;
    };
    let turn = Turn::on(index);
    let pages = context.pages;
    let next = pages.next_in_ring();
    if context.progress != Progress::None || next.is_none() {
        return turn.set_terms(None);
    }
    pages.set_yielded_to(true);
    let ready = kernel.vcpus.get(index).map_or(0, |vcpu| vcpu.ready);
    let slice = kernel.slice_ticks;
    let timed = turn.allowance() == slice && (slice == 0 || timer::counts_slice(kernel, index));
    let plain = next != Some(pages) && ready == 0 && timed;
    turn.set_terms(plain.then(|| pages.terms()));
}

/// The next yield on vCPU `index` takes the long path.
pub fn unsettle(index: usize) {
    Turn::on(index).set_terms(None);
}
