//! The guest as gdb sees it: a thread for each vCPU, and the memory that its page tables show.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use exo_abi::address::KERNEL_BASE;
use gdbstub::common::{Signal, Tid};
use gdbstub::stub::MultiThreadStopReason;
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadResume, MultiThreadResumeOps, MultiThreadSchedulerLocking,
    MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints as BreakpointsExtension, BreakpointsOps, HwBreakpoint, HwBreakpointOps,
    HwWatchpoint, HwWatchpointOps, SwBreakpoint, SwBreakpointOps, WatchKind,
};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use gdbstub_arch::x86::X86_64_SSE;
use gdbstub_arch::x86::reg::X86_64CoreRegs;
use vm_memory::{Bytes, GuestAddress};

use super::breakpoints::{Access, Breakpoint, Breakpoints, REGISTERS};
use super::patches::Patches;
use super::reflection::Entries;
use super::registers;
use super::stops::{Action, Event, Plan, Stops};
use crate::machine::Threads;
use crate::machine::processor::Surroundings;
use crate::machine::translation::translate;

/// Why gdb stops.
pub type StopReason = MultiThreadStopReason<u64>;

/// Debug registers for the entries of the kernel.
const ENTRY_REGISTERS: usize = 2;
/// Bytes of a page, within which a translation holds.
const PAGE: u64 = 4096;
/// How long a vCPU has for answering a kick before it gets the next.
const KICK_INTERVAL: Duration = Duration::from_millis(1);

/// The target of gdb.
pub struct Guest {
    stops: Arc<Stops>,
    /// What the vCPUs say.
    pub events: Receiver<Event>,
    threads: Arc<Threads>,
    around: Arc<Surroundings>,
    plan: Plan,
    /// Which vCPUs run.
    running: Vec<bool>,
    /// What gdb wants of each vCPU when it resumes.
    actions: Vec<Option<Action>>,
    /// Whether those of which it wants nothing stay where they are.
    locked: bool,
}

/// The thread of a vCPU: numbers of threads begin with 1.
pub fn thread(index: usize) -> Tid {
    Tid::MIN.saturating_add(index)
}

fn index(thread: Tid) -> usize {
    thread.get() - 1
}

impl Guest {
    /// The guest of these vCPUs, as soon as all stand still.
    pub fn new(
        stops: Arc<Stops>,
        events: Receiver<Event>,
        threads: Arc<Threads>,
        around: Arc<Surroundings>,
        entries: Option<Entries>,
    ) -> Self {
        let plan = Plan {
            breakpoints: Breakpoints::default(),
            entries,
            patches: Arc::new(Mutex::new(Patches::new(around.memory.clone()))),
            memory: around.memory.clone(),
        };
        let vcpus = stops.vcpus();
        let mut guest = Self {
            stops,
            events,
            threads,
            around,
            plan,
            running: vec![true; vcpus],
            actions: vec![None; vcpus],
            locked: false,
        };
        guest.stop(None);
        guest
    }

    /// Stops all vCPUs, of which one may stand still already. Where the machine ends meanwhile: its exit status.
    pub fn stop(&mut self, stopped: Option<usize>) -> Option<u8> {
        self.stops.ask();
        if let Some(index) = stopped {
            self.note_stop(index);
        }
        while self.running.contains(&true) {
            match self.events.recv_timeout(KICK_INTERVAL) {
                Ok(Event::Stopped(index) | Event::Trapped(index, _)) => {
                    // A breakpoint that another vCPU has reached at the same moment is reached again when that goes on.
                    self.note_stop(index);
                }
                Ok(Event::Ended(status)) => return Some(status),
                Err(RecvTimeoutError::Timeout) => self.threads.kick(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        None
    }

    fn note_stop(&mut self, index: usize) {
        if let Some(running) = self.running.get_mut(index) {
            *running = false;
        }
    }

    /// Why vCPU `index` has stopped by itself.
    pub fn reason(&self, index: usize, dr6: u64) -> StopReason {
        let tid = thread(index);
        let reached = (0..4).filter(|register| dr6 & 1 << register != 0);
        let breakpoint = reached
            .filter_map(|register| self.plan.breakpoints.get(register))
            .next();
        match breakpoint {
            Some(Breakpoint {
                access: Access::Execute,
                ..
            }) => StopReason::HwBreak(tid),
            Some(Breakpoint {
                address, access, ..
            }) => StopReason::Watch {
                tid,
                kind: match access {
                    Access::ReadWrite => WatchKind::ReadWrite,
                    Access::Write | Access::Execute => WatchKind::Write,
                },
                addr: address,
            },
            // A step, most likely. Not `DoneStep`, which does not say whose.
            None => StopReason::SignalWithThread {
                tid,
                signal: Signal::SIGTRAP,
            },
        }
    }

    /// Lets the guest go on for good.
    pub fn release(&self) {
        let plan = Plan {
            breakpoints: Breakpoints::default(),
            entries: None,
            ..self.plan.clone()
        };
        self.stops.resume(&plan, |_| Action::Continue);
    }

    /// Where breakpoints of an address are not held by debug registers: the others.
    fn patches(&self, address: u64) -> Option<MutexGuard<'_, Patches>> {
        let patched = self.plan.entries.is_some() && address < KERNEL_BASE;
        patched.then(|| {
            let patches = self.plan.patches.lock();
            patches.unwrap_or_else(PoisonError::into_inner)
        })
    }

    /// Adds what a debug register holds; some are kept free for the entries of the kernel, where these are needed.
    fn add(&mut self, breakpoint: Breakpoint) -> bool {
        let kept = match self.plan.entries {
            Some(_) => ENTRY_REGISTERS,
            None => 0,
        };
        let mut breakpoints = self.plan.breakpoints;
        let added = breakpoints.add(breakpoint) && breakpoints.count() + kept <= REGISTERS;
        if added {
            self.plan.breakpoints = breakpoints;
        }
        added
    }

    fn add_instruction(&mut self, address: u64) -> bool {
        if let Some(mut patches) = self.patches(address) {
            patches.add(address);
            return true;
        }
        self.add(Breakpoint::at(address))
    }

    fn remove_instruction(&mut self, address: u64) -> bool {
        if let Some(mut patches) = self.patches(address) {
            return patches.remove(address);
        }
        self.plan.breakpoints.remove(Breakpoint::at(address))
    }

    fn set_action(&mut self, thread: Tid, action: Action) {
        if let Some(slot) = self.actions.get_mut(index(thread)) {
            *slot = Some(action);
        }
    }

    fn execute<T: Send + 'static>(
        &self,
        thread: Tid,
        work: impl FnOnce(&mut kvm_ioctls::VcpuFd) -> T + Send + 'static,
    ) -> TargetResult<T, Self> {
        self.stops
            .execute(index(thread), work)
            .ok_or(TargetError::NonFatal)
    }

    /// Does something with each part of a range that lies in one page, as far as it is mapped: physical address, place in the range.
    fn for_each_page(
        &self,
        start: u64,
        bytes: usize,
        thread: Tid,
        mut work: impl FnMut(GuestAddress, std::ops::Range<usize>) -> bool,
    ) -> TargetResult<usize, Self> {
        let mut done = 0;
        while done < bytes {
            let Some(address) = start.checked_add(done as u64) else {
                break;
            };
            let length = ((PAGE - address % PAGE) as usize).min(bytes - done);
            let memory = self.around.memory.clone();
            match self.execute(thread, move |vcpu| translate(vcpu, &memory, address))? {
                Some(physical) if work(physical, done..done + length) => done += length,
                _ => break,
            }
        }
        match done {
            0 if bytes != 0 => Err(TargetError::NonFatal),
            _ => Ok(done),
        }
    }
}

impl Target for Guest {
    type Arch = X86_64_SSE;
    type Error = std::convert::Infallible;

    fn base_ops(&mut self) -> BaseOps<'_, Self::Arch, Self::Error> {
        BaseOps::MultiThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for Guest {
    fn read_registers(&mut self, to: &mut X86_64CoreRegs, thread: Tid) -> TargetResult<(), Self> {
        let read = self.execute(thread, |vcpu| registers::read(vcpu).ok())?;
        *to = read.ok_or(TargetError::NonFatal)?;
        Ok(())
    }

    fn write_registers(&mut self, from: &X86_64CoreRegs, thread: Tid) -> TargetResult<(), Self> {
        let from = from.clone();
        let written = self.execute(thread, move |vcpu| registers::write(vcpu, &from).ok())?;
        written.ok_or(TargetError::NonFatal)
    }

    fn read_addrs(
        &mut self,
        start: u64,
        data: &mut [u8],
        thread: Tid,
    ) -> TargetResult<usize, Self> {
        let memory = self.around.memory.clone();
        self.for_each_page(start, data.len(), thread, |physical, place| {
            data.get_mut(place)
                .is_some_and(|part| memory.read_slice(part, physical).is_ok())
        })
    }

    fn write_addrs(&mut self, start: u64, data: &[u8], thread: Tid) -> TargetResult<(), Self> {
        let memory = self.around.memory.clone();
        let done = self.for_each_page(start, data.len(), thread, |physical, place| {
            data.get(place)
                .is_some_and(|part| memory.write_slice(part, physical).is_ok())
        })?;
        match done == data.len() {
            true => Ok(()),
            false => Err(TargetError::NonFatal),
        }
    }

    fn list_active_threads(&mut self, register: &mut dyn FnMut(Tid)) -> Result<(), Self::Error> {
        (0..self.stops.vcpus()).for_each(|index| register(thread(index)));
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }

    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl ThreadExtraInfo for Guest {
    fn thread_extra_info(&self, thread: Tid, text: &mut [u8]) -> Result<usize, Self::Error> {
        let index = index(thread);
        let who = match self.around.running(index as u32) {
            0 => format!("vCPU {index}, kernel"),
            number => format!("vCPU {index}, environment {number}"),
        };
        let length = who.len().min(text.len());
        for (to, from) in text.iter_mut().zip(who.bytes()) {
            *to = from;
        }
        Ok(length)
    }
}

impl MultiThreadResume for Guest {
    fn resume(&mut self) -> Result<(), Self::Error> {
        let rest = match self.locked {
            true => Action::Stay,
            false => Action::Continue,
        };
        let action = |index: usize| self.actions.get(index).copied().flatten().unwrap_or(rest);
        self.stops.resume(&self.plan, action);
        self.running = (0..self.stops.vcpus())
            .map(|index| action(index) != Action::Stay)
            .collect();
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), Self::Error> {
        self.actions.fill(None);
        self.locked = false;
        Ok(())
    }

    fn set_resume_action_continue(
        &mut self,
        thread: Tid,
        _: Option<Signal>,
    ) -> Result<(), Self::Error> {
        self.set_action(thread, Action::Continue);
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadSingleStep for Guest {
    fn set_resume_action_step(
        &mut self,
        thread: Tid,
        _: Option<Signal>,
    ) -> Result<(), Self::Error> {
        self.set_action(thread, Action::Step);
        Ok(())
    }
}

impl MultiThreadSchedulerLocking for Guest {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Self::Error> {
        self.locked = true;
        Ok(())
    }
}

impl BreakpointsExtension for Guest {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

/// What gdb calls a software breakpoint is no other than a hardware one: it may be in the kernel, whose `int3` would be a fault.
impl SwBreakpoint for Guest {
    fn add_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.add_instruction(address))
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.remove_instruction(address))
    }
}

impl HwBreakpoint for Guest {
    fn add_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.add_instruction(address))
    }

    fn remove_hw_breakpoint(&mut self, address: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.remove_instruction(address))
    }
}

/// A watchpoint; there is none for loads alone.
fn watch(address: u64, bytes: u64, kind: WatchKind) -> Breakpoint {
    Breakpoint {
        address,
        access: match kind {
            WatchKind::Write => Access::Write,
            WatchKind::Read | WatchKind::ReadWrite => Access::ReadWrite,
        },
        bytes,
    }
}

impl HwWatchpoint for Guest {
    fn add_hw_watchpoint(
        &mut self,
        address: u64,
        bytes: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(self.add(watch(address, bytes, kind)))
    }

    fn remove_hw_watchpoint(
        &mut self,
        address: u64,
        bytes: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(self.plan.breakpoints.remove(watch(address, bytes, kind)))
    }
}
