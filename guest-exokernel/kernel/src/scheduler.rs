//! Switches: who runs on a vCPU, for how long, and what becomes of whoever ran before.
//!
//! [`run_next`] begins a slice and runs whoever [`slices`] says; [`donate`] gives the rest of the slice to a named environment. A slice
//! ends by a yield, by a wait, or by the timer: then `interrupt.S` tells a libOS that asked for it, and [`end_slice`] is what remains:
//! who asked for nothing, or is too late, is switched by force, and finds every register as it was when it goes on.

use exo_abi::environment::State;
use exo_abi::{EnvironmentId, Error};

use crate::hw::switch::{Context, Progress};
use crate::hw::vcpu::Turn;
use crate::hw::{interface_page, memory, registers, switch, vcpu};
use crate::kernel::{Kernel, with_kernel};
pub use crate::sleeping::{sleep, wake};
use crate::{interrupts, revocation, ring, slices, timer, transfer};

/// The moment of the kernel's alarm has come on vCPU `index`.
pub fn handle_alarm(kernel: &mut Kernel, index: usize) {
    revocation::handle_alarm(kernel, index);
}

/// Gives the rest of the slice to an environment that could run: [`run_next`] will run it. Where the slice has ended there is nothing to
/// give, and it is anybody's turn. The caller is noted already, and has not been added again.
pub fn donate(kernel: &mut Kernel, index: usize, id: EnvironmentId) -> Result<(), Error> {
    check_donation(kernel, index, id)?;
    let turn = Turn::on(index);
    let ended = turn.in_grace()
        || kernel.slice_ticks != 0
            && slices::has_rival(kernel, index)
            && turn.end() <= registers::time_stamp();
    if !ended && let Some(vcpu) = kernel.vcpus.get_mut(index) {
        vcpu.donated = id;
    }
    Ok(())
}

/// Whether whoever runs on vCPU `index` may give its slice to this environment.
fn check_donation(kernel: &mut Kernel, index: usize, id: EnvironmentId) -> Result<(), Error> {
    let entry = kernel.ledger.environment(id)?;
    if entry.vcpu as usize != index {
        return Err(Error::BadArgument);
    }
    if entry.state != State::Runnable as u32 {
        return Err(Error::BadState);
    }
    Ok(())
}

/// Runs whoever is next on this vCPU; halts while nobody is.
pub fn run_next(index: usize) -> ! {
    loop {
        match with_kernel(|kernel| begin_turn(kernel, index)) {
            Some((context, features)) => switch::resume(index, &context, features),
            None => {
                registers::set_root(memory::kernel_root());
                vcpu::use_interrupt_stack(index);
                registers::wait_for_interrupt();
            }
        }
    }
}

/// Called by interrupt.S, on the kernel stack, where whoever was interrupted has been ended by another vCPU.
pub extern "C" fn leave_ended() -> ! {
    run_next(vcpu::index())
}

/// Chooses who runs now, makes the vCPU ready for it, and begins its slice: its context and the features of the machine.
fn begin_turn(kernel: &mut Kernel, index: usize) -> Option<(Context, u64)> {
    let vcpu = kernel.vcpus.get_mut(index)?;
    let position = vcpu.position;
    let donated = core::mem::replace(&mut vcpu.donated, EnvironmentId::NOBODY);
    vcpu.left = EnvironmentId::NOBODY;
    let next = if donated == EnvironmentId::NOBODY {
        slices::next(kernel, index)
    } else {
        if kernel.environment(donated).is_ok_and(|one| one.slots == 0) {
            ring::move_to(kernel, index, donated);
        }
        Some(donated)
    };
    let begins = donated == EnvironmentId::NOBODY;
    let context = next.and_then(|id| load_context(kernel, index, id, begins));
    if let Some(context) = &context {
        switch::prepare(index, context);
    }
    // As late as can be, so that even a short slice is not over before it begins.
    let now = registers::time_stamp();
    let end = Turn::on(index).end();
    charge(kernel, index, position, now);
    let id = next.unwrap_or(EnvironmentId::NOBODY);
    kernel.ledger.set_running(index, id);
    if begins {
        begin_slice(kernel, index, now);
    } else {
        Turn::on(index).set_end(end);
    }
    timer::arm(kernel, index);
    ring::settle(kernel, index);
    Some((context?, kernel.features))
}

/// Lets the slice of whoever runs begin at `now`.
pub fn begin_slice(kernel: &Kernel, index: usize, now: u64) {
    Turn::on(index).set_end(now + kernel.slice_ticks);
}

/// Charges the time of a turn that has ended to whoever has run, and to the slot, in which others may have run before it.
fn charge(kernel: &mut Kernel, index: usize, slot: usize, now: u64) {
    let before = kernel.ledger.running(index);
    let elapsed = Turn::on(index).charge(now);
    if let Some(vcpu) = kernel.vcpus.get_mut(index) {
        let of_slot = now.wrapping_sub(core::mem::replace(&mut vcpu.since, now));
        if before != EnvironmentId::NOBODY {
            kernel.ledger.charge_time(before, elapsed);
            kernel.ledger.charge_slice(index, slot, of_slot);
            kernel.ledger.count_turn(before);
        }
    }
}

/// How an environment is run. What a forced switch has saved is loaded in two steps where ring 0 does not reach all of it.
fn load_context(
    kernel: &mut Kernel,
    index: usize,
    id: EnvironmentId,
    begins: bool,
) -> Option<Context> {
    let in_two_steps = interface_page::vector_code(kernel.features).is_some();
    let context = &mut kernel.environment(id).ok()?.context;
    if context.progress == Progress::Saved && in_two_steps {
        context.progress = Progress::Loading;
    }
    context.begins = begins;
    let loaded = *context;
    if context.progress == Progress::Saved {
        context.progress = Progress::None;
        interrupts::remind(kernel, index, id);
    }
    Some(loaded)
}

/// What becomes of whoever the timer has interrupted.
enum Ending {
    /// Its slice has not ended, or nobody waits for it.
    Resume,
    /// It is told, and has to yield.
    Upcall,
    /// All is saved, and somebody else runs.
    Switch,
    /// It stores its vector registers by this code first.
    Store(u64),
}

/// Called by interrupt.S where the end of a slice is no ordinary upcall, with the registers of whoever runs on its slice stack. Returns 0
/// to go on with them, 1 to make an upcall of it.
pub extern "C" fn end_slice() -> u32 {
    registers::end_interrupt();
    let index = vcpu::index();
    match with_kernel(|kernel| judge_end(kernel, index)) {
        Ending::Resume => 0,
        Ending::Upcall => 1,
        Ending::Switch => run_next(index),
        Ending::Store(code) => switch::store_vectors(index, code),
    }
}

fn judge_end(kernel: &mut Kernel, index: usize) -> Ending {
    let caller = kernel.ledger.running(index);
    let Ok(context) = kernel.environment(caller).map(|one| one.context) else {
        // It was ended while it waited for the lock.
        return Ending::Switch;
    };
    // What its registers are saved for is under way; at its end the timer is armed again.
    if context.progress != Progress::None {
        return Ending::Resume;
    }
    let turn = Turn::on(index);
    let now = registers::time_stamp();
    let end = if turn.in_grace() {
        turn.end() + kernel.grace_ticks
    } else {
        turn.end()
    };
    if now < end || !slices::has_rival(kernel, index) {
        timer::arm(kernel, index);
        return Ending::Resume;
    }
    let instruction = context.pages.interrupted_instruction();
    let has_begun = interface_page::begin_anew(instruction, kernel.features).is_none();
    if !has_begun && turn.allowance() == kernel.slice_ticks {
        // Once: even a short slice is to be of use, but a program can go to that code by itself.
        begin_slice(kernel, index, now);
        timer::arm(kernel, index);
        return Ending::Resume;
    }
    if turn.in_grace() {
        let late = transfer::who_is_late(kernel, index, caller);
        slices::punish(kernel, late);
    }
    if !has_begun {
        // Registers hold what others left there, so nothing is saved but the status. Most often this is the rest of a slice that was given,
        // and shorter than the giving: if it began anew, two who yield to each other would have the vCPU for ever.
        let status = match instruction == interface_page::turn_code(kernel.features).begin {
            true => 0,
            false => context.pages.interrupted_status(),
        };
        context.pages.set_resume_status(status);
        slices::add(kernel, index, caller);
        return Ending::Switch;
    }
    if !turn.in_grace() && context.pages.wants_slice_end() && context.pages.take_slice_credit() {
        turn.set_end(now);
        turn.begin_grace();
        ring::unsettle(index);
        context.pages.tell_slice_frame();
        timer::arm(kernel, index);
        return Ending::Upcall;
    }
    force_switch(kernel, index, caller, &context)
}

/// Saves whoever runs.
fn force_switch(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    context: &Context,
) -> Ending {
    switch::save(context);
    kernel.ledger.count_forced_switch(caller);
    let code = interface_page::vector_code(kernel.features);
    if let Ok(environment) = kernel.environment(caller) {
        environment.context.progress = match code {
            Some(_) => Progress::Storing,
            None => Progress::Saved,
        };
        context.pages.set_yielded_to(false);
    }
    match code {
        Some(code) => {
            context.pages.save_gate_frame();
            Ending::Store(code.store)
        }
        None => {
            slices::add(kernel, index, caller);
            Ending::Switch
        }
    }
}
