//! Stopped vCPUs: each serves the debugger's requests on its own thread, since only that may touch it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use kvm_bindings::{
    KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP, kvm_guest_debug,
    kvm_guest_debug_arch,
};
use kvm_ioctls::VcpuFd;

use super::breakpoints::{Breakpoint, Breakpoints};
use super::patches::Patches;
use super::reflection::{self, Entries, Stop, TRAP_FLAG};
use crate::memory::GuestMemory;

/// What the debugger has a stopped vCPU do.
enum Request {
    /// Look at it or change it.
    Do(Box<dyn FnOnce(&mut VcpuFd) + Send>),
    /// Go on, with these breakpoints.
    Resume(Plan, Action),
}

/// Where the guest stops: the same for all vCPUs.
#[derive(Clone)]
pub struct Plan {
    /// By debug registers.
    pub breakpoints: Breakpoints,
    /// By entries of the kernel, on hosts that see no debug exceptions of ring 3.
    pub entries: Option<Entries>,
    /// Breakpoints of ring 3 on such hosts.
    pub patches: Arc<Mutex<Patches>>,
    /// Guest memory.
    pub memory: Arc<GuestMemory>,
}

/// How a vCPU goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Until something stops it.
    Continue,
    /// For one instruction.
    Step,
    /// Not at all.
    Stay,
}

/// What the debugger hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// This vCPU stands still, because it was told to.
    Stopped(usize),
    /// This vCPU stands still, because of breakpoints or a single step: DR6 (Intel SDM volume 3, section 18.2.3).
    Trapped(usize, u64),
    /// The machine has ended, with this exit status.
    Ended(u8),
}

/// The way to one vCPU thread.
struct Link {
    requests: Sender<Request>,
    progress: Mutex<Progress>,
}

/// What vCPU threads and debugger share.
pub struct Stops {
    /// Whether all vCPUs have to stand still.
    wanted: AtomicBool,
    links: Vec<Link>,
    events: Sender<Event>,
}

impl Stops {
    /// For so many vCPUs, all to be stopped before their first instruction; and where events come out.
    pub fn new(vcpus: u32) -> (Self, Receiver<Event>) {
        let (events, heard) = channel();
        let links = (0..vcpus).map(|_| {
            let (requests, inbox) = channel();
            Link {
                requests,
                progress: Mutex::new(Progress {
                    inbox,
                    plan: None,
                    action: Action::Continue,
                    passes: false,
                }),
            }
        });
        let stops = Self {
            wanted: AtomicBool::new(true),
            links: links.collect(),
            events,
        };
        (stops, heard)
    }

    /// Number of vCPUs.
    pub fn vcpus(&self) -> usize {
        self.links.len()
    }

    /// Whether vCPU threads have to call [`Stops::serve`].
    pub fn are_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Asks all vCPUs to stand still; whoever asks also kicks them out of the guest.
    pub fn ask(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    /// Says that the machine has ended.
    pub fn report_end(&self, status: u8) {
        // A debugger that is gone does not want to know.
        let _ = self.events.send(Event::Ended(status));
    }

    /// On the thread of vCPU `index`: stands still until the debugger lets it go. `trap` is DR6 where the guest stopped by itself.
    pub fn serve(&self, index: usize, vcpu: &mut VcpuFd, trap: Option<u64>) {
        let Some(link) = self.links.get(index) else {
            return;
        };
        let mut progress = link.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let event = match trap {
            None => Event::Stopped(index),
            Some(dr6) => match progress.look(vcpu, dr6) {
                Some(dr6) => Event::Trapped(index, dr6),
                None => return,
            },
        };
        if self.events.send(event).is_err() {
            // Nobody debugs any more.
            return;
        }
        while let Ok(request) = progress.inbox.recv() {
            match request {
                Request::Do(work) => work(vcpu),
                Request::Resume(plan, action) => {
                    progress.resume(vcpu, plan, action);
                    return;
                }
            }
        }
    }

    /// Has a stopped vCPU do something, and waits for what comes out; nothing if its thread has ended.
    pub fn execute<T: Send + 'static>(
        &self,
        index: usize,
        work: impl FnOnce(&mut VcpuFd) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, heard) = channel();
        let request = Request::Do(Box::new(move |vcpu| {
            // Whoever asked waits for it.
            let _ = answer.send(work(vcpu));
        }));
        self.links.get(index)?.requests.send(request).ok()?;
        heard.recv().ok()
    }

    /// Lets vCPUs go, each as `action` says.
    pub fn resume(&self, plan: &Plan, action: impl Fn(usize) -> Action) {
        self.wanted.store(false, Ordering::Release);
        for (index, link) in self.links.iter().enumerate() {
            let action = action(index);
            if action != Action::Stay {
                // A thread that has ended needs no leave.
                let _ = link.requests.send(Request::Resume(plan.clone(), action));
            }
        }
    }
}

/// How one vCPU runs under the debugger; only its own thread looks at it.
struct Progress {
    inbox: Receiver<Request>,
    plan: Option<Plan>,
    action: Action,
    /// It does one instruction without breakpoints, behind an entry at which the debugger wanted nothing.
    passes: bool,
}

impl Progress {
    /// What a stop is for the debugger: DR6; nothing where the vCPU just goes on.
    fn look(&mut self, vcpu: &VcpuFd, dr6: u64) -> Option<u64> {
        let (Some(plan), passes) = (&self.plan, std::mem::take(&mut self.passes)) else {
            return Some(dr6);
        };
        if passes {
            plan.set(vcpu, self.action);
            return None;
        }
        let Some(entries) = &plan.entries else {
            return Some(dr6);
        };
        let mut patches = plan.patches.lock().unwrap_or_else(PoisonError::into_inner);
        match reflection::look(vcpu, &plan.memory, entries, &mut patches) {
            Stop::Plain => Some(dr6),
            Stop::Breakpoint => Some(0),
            Stop::Step if self.action == Action::Step => Some(0),
            // The trap flag of a step that something else has ended.
            Stop::Step => None,
            Stop::Nothing => {
                drop(patches);
                self.passes = true;
                tell(vcpu, Breakpoints::default().registers(), true);
                None
            }
        }
    }

    fn resume(&mut self, vcpu: &VcpuFd, plan: Plan, action: Action) {
        plan.set(vcpu, action);
        self.action = action;
        self.plan = Some(plan);
    }
}

impl Plan {
    /// Has the vCPU stop where it should.
    fn set(&self, vcpu: &VcpuFd, action: Action) {
        let mut breakpoints = self.breakpoints;
        let Some(entries) = &self.entries else {
            tell(vcpu, breakpoints.registers(), action == Action::Step);
            return;
        };
        let mut patches = self.patches.lock().unwrap_or_else(PoisonError::into_inner);
        let in_ring_3 = vcpu
            .get_sregs()
            .is_ok_and(|special| special.cs.selector & 3 == 3);
        if in_ring_3 {
            patches.apply(vcpu);
        }
        for address in [entries.for_breakpoints(&patches), entries.debug] {
            // There is room: so many registers are kept free for them.
            breakpoints.add(Breakpoint::at(address));
        }
        let step = action == Action::Step;
        tell(vcpu, breakpoints.registers(), step && !in_ring_3);
        if step
            && in_ring_3
            && let Ok(mut registers) = vcpu.get_regs()
        {
            registers.rflags |= TRAP_FLAG;
            // It was read, so it can be written.
            let _ = vcpu.set_regs(&registers);
        }
    }
}

/// Tells KVM what to stop at. (api.rst, section 4.87)
fn tell(vcpu: &VcpuFd, registers: [u64; 8], step: bool) {
    let mut control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
    if step {
        control |= KVM_GUESTDBG_SINGLESTEP;
    }
    let debug = kvm_guest_debug {
        control,
        pad: 0,
        arch: kvm_guest_debug_arch {
            debugreg: registers,
        },
    };
    if let Err(error) = vcpu.set_guest_debug(&debug) {
        eprintln!(
            "exo: KVM does not set breakpoints: {error}; the guest goes on without (KVM_SET_GUEST_DEBUG)"
        );
    }
}
