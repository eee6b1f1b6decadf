//! The machine: memory map, boot, vCPUs, interrupts and the bus that devices stand on.

pub mod acpi;
pub mod boot;
pub mod bus;
pub mod console;
mod emulation;
pub mod ending;
pub mod environments;
pub mod host;
pub mod hypervisor;
pub mod interrupts;
pub mod memory_map;
pub mod ports;
pub mod processor;
pub mod registers;
pub mod statistics;
pub mod translation;

use std::io::Write;
use std::mem::offset_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use exo_abi::bundle::Features;
use exo_abi::function::FunctionRecord;
use exo_abi::layout::{Summary, memory_end};
use kvm_ioctls::{IoEventAddress, NoDatamatch, VcpuFd};
use vm_memory::GuestAddress;
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

use self::bus::Bus;
use self::console::Console;
use self::ending::{ClockPair, End, Ending};
use self::hypervisor::Hypervisor;
use self::interrupts::{InterruptRouter, KvmRouter};
use self::memory_map::MemoryMap;
use self::ports::{CommandHandler, Ports};
use self::processor::{ExitCounts, Surroundings};
use self::statistics::Statistics;
use crate::crash::Crashes;
use crate::debugger::Stops;
use crate::error::Error;
use crate::image::bundle::Bundle;
use crate::image::executable::Executable;
use crate::image::size::Size;
use crate::memory::{self, GuestMemory};

/// Stack of a vCPU thread, which runs the devices' register code and nothing deep.
const STACK_BYTES: usize = 128 << 10;
/// How long a vCPU thread has for answering a kick before it gets the next.
const KICK_INTERVAL: Duration = Duration::from_millis(1);

/// What a machine is made of.
pub struct Parts<'a> {
    /// The kernel.
    pub kernel: &'a Executable,
    /// The programs, planned.
    pub bundle: Bundle,
    /// Bytes of memory.
    pub memory: Size,
    /// vCPUs.
    pub vcpus: u32,
    /// For the kernel's eyes.
    pub command_line: &'a str,
    /// Where the console writes to.
    pub output: Box<dyn Write + Send>,
    /// Where the console for error messages writes to.
    pub errors: Box<dyn Write + Send>,
    /// Open KVM's own counters, which takes time.
    pub statistics: bool,
    /// What becomes of crashes of programs.
    pub crashes: Crashes,
    /// Where a debugger stops vCPUs, if there is one.
    pub stops: Option<Arc<Stops>>,
}

/// The devices of a machine, as it needs to know them.
#[derive(Default)]
pub struct Attachments {
    /// Device memory.
    pub bus: Bus,
    /// What the kernel is told about the functions; the first is the IOMMU.
    pub functions: Vec<FunctionRecord>,
    /// Doorbells that wake somebody without an exit: address and event.
    pub doorbells: Vec<(u64, EventFd)>,
    /// Carries out commands of the control device.
    pub handler: Option<Arc<dyn CommandHandler>>,
}

/// A machine that is ready to run.
pub struct Machine {
    /// Where everything lies.
    pub map: MemoryMap,
    /// Time stamp counter frequency in kHz.
    pub tsc_khz: u64,
    surroundings: Arc<Surroundings>,
    vcpus: Vec<VcpuFd>,
    vcpu_count: u32,
    statistics: Vec<Statistics>,
    router: Arc<KvmRouter>,
    threads: Arc<Threads>,
    // Closed last.
    hypervisor: Hypervisor,
}

/// How a run went.
pub struct Outcome {
    /// Why it ended.
    pub end: End,
    /// The clocks at the end.
    pub clock: Option<ClockPair>,
    /// When the first vCPU was let go.
    pub started: Instant,
    /// When this was known.
    pub ended: Instant,
    /// Why output of the programs was lost, if some was.
    pub output: Result<(), std::io::Error>,
}

impl Machine {
    /// Makes a machine and loads it. `attach` makes its devices.
    pub fn new(
        mut parts: Parts<'_>,
        attach: impl FnOnce(Arc<GuestMemory>, Arc<dyn InterruptRouter>) -> Result<Attachments, Error>,
    ) -> Result<Self, Error> {
        let map = MemoryMap::new(parts.kernel, &parts.bundle, parts.memory)?;
        let kvm = hypervisor::open()?;
        let memory = Arc::new(memory::map(map.memory)?);
        parts.bundle.files.load(&memory)?;
        let end = match parts.bundle.files.blocks() {
            0 => memory_end(map.memory),
            _ => parts.bundle.files.start(),
        };
        memory::advise_page_sizes(&memory, map.grants_end, end);
        let hypervisor = Hypervisor::new(&kvm, &memory)?;
        let mut vcpus = Vec::new();
        for index in 0..parts.vcpus {
            vcpus.push(hypervisor.create_vcpu(index, parts.vcpus)?);
        }
        let mut statistics = Vec::new();
        if parts.statistics {
            // Hosts before Linux 5.14 have none; then there are none to report.
            statistics.extend(Statistics::of(hypervisor.vm.as_ref()).ok());
            statistics.extend(vcpus.iter().filter_map(|vcpu| Statistics::of(vcpu).ok()));
        }
        let router = Arc::new(KvmRouter::new(hypervisor.vm.clone()));
        let attachments = attach(memory.clone(), router.clone())?;
        for (address, event) in &attachments.doorbells {
            hypervisor
                .vm
                .register_ioevent(event, &IoEventAddress::Mmio(*address), NoDatamatch)
                .map_err(|error| Error::system("registering a doorbell (KVM_IOEVENTFD)", error))?;
        }
        let entry = boot::load_kernel(&memory, parts.kernel)?;
        let boot_vcpu = vcpus
            .first()
            .ok_or_else(|| Error::Usage("a machine needs a vCPU".into()))?;
        registers::set_boot_state(boot_vcpu, entry)?;
        let tsc_khz = boot_vcpu.get_tsc_khz().map_or(0, u64::from);
        parts.bundle.header.features = hypervisor.features();
        if !attachments.functions.is_empty() {
            parts.bundle.header.features |= Features::IOMMU;
        }
        parts.bundle.header.tsc_khz = tsc_khz;
        if attachments.functions.len() != parts.bundle.functions.len() {
            return Err(Error::System("the devices do not match the image".into()));
        }
        let rsdp = acpi::write(&memory, parts.vcpus, !attachments.functions.is_empty())?;
        parts.bundle.functions = attachments.functions;
        boot::load_bundle(&memory, &map, &parts.bundle)?;
        boot::write_start_info(
            &memory,
            &map,
            parts.bundle.bytes(),
            parts.command_line,
            rsdp,
        )?;
        let ports = Ports::new(
            [Console::new(parts.output), Console::new(parts.errors)],
            attachments.handler,
            memory.clone(),
        );
        Ok(Self {
            map,
            tsc_khz,
            surroundings: Arc::new(Surroundings {
                memory,
                running: GuestAddress(map.layout.exported + offset_of!(Summary, running) as u64),
                exits: (0..=map.layout.environments.count)
                    .map(|_| ExitCounts::default())
                    .collect(),
                bus: attachments.bus,
                ports,
                ending: Ending::default(),
                crashes: parts.crashes,
                stops: parts.stops,
            }),
            vcpu_count: parts.vcpus,
            vcpus,
            statistics,
            router,
            threads: Arc::default(),
            hypervisor,
        })
    }

    /// Guest memory.
    pub fn memory(&self) -> &GuestMemory {
        &self.surroundings.memory
    }

    /// Number of vCPUs.
    pub fn vcpus(&self) -> u32 {
        self.vcpu_count
    }

    /// Exits to the VMM, by environment; the first entry is nobody's.
    pub fn exit_counts(&self) -> &[ExitCounts] {
        &self.surroundings.exits
    }

    /// KVM's own counters, if they were asked for.
    pub fn statistics(&self) -> &[Statistics] {
        &self.statistics
    }

    /// What the vCPUs share, for who looks on.
    pub fn surroundings(&self) -> Arc<Surroundings> {
        self.surroundings.clone()
    }

    /// Whether ring 3 runs on the processor itself and ring 0 does not (shadow KVM).
    pub fn runs_ring_3_natively(&self) -> bool {
        self.hypervisor.runs_ring_3_natively()
    }

    /// The interrupts of the machine.
    pub fn router(&self) -> &Arc<KvmRouter> {
        &self.router
    }

    /// Runs the machine to its end. vCPUs may still be on their way out when this returns: see [`Machine::stop`].
    pub fn run(&mut self) -> Result<Outcome, Error> {
        let started = self.start()?;
        Ok(self.wait(started))
    }

    /// Lets the vCPUs go; says when that was.
    pub fn start(&mut self) -> Result<Instant, Error> {
        let started = Instant::now();
        for (index, vcpu) in self.vcpus.drain(..).enumerate().rev() {
            let around = self.surroundings.clone();
            let thread = std::thread::Builder::new()
                .name(format!("vcpu{index}"))
                .stack_size(STACK_BYTES)
                .spawn(move || processor::run(index as u32, vcpu, &around))
                .map_err(|error| Error::system("starting a vCPU thread", error))?;
            self.threads.lock().push(thread);
        }
        Ok(started)
    }

    /// Waits for the end of a machine that was started then.
    pub fn wait(&mut self, started: Instant) -> Outcome {
        let (end, clock) = self.surroundings.ending.wait();
        let output = self.surroundings.ports.finish();
        Outcome {
            end,
            clock,
            started,
            ended: Instant::now(),
            output,
        }
    }

    /// The vCPU threads.
    pub fn threads(&self) -> Arc<Threads> {
        self.threads.clone()
    }

    /// Waits until all vCPU threads have ended. Only after an end has been reported.
    pub fn stop(&mut self) {
        while self.threads.are_running() {
            // A kick that comes just before KVM_RUN is lost, so it is repeated.
            self.threads.kick();
            std::thread::sleep(KICK_INTERVAL);
        }
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }
}

/// The threads of the vCPUs.
#[derive(Default)]
pub struct Threads(Mutex<Vec<JoinHandle<()>>>);

impl Threads {
    fn lock(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn are_running(&self) -> bool {
        self.lock().iter().any(|thread| !thread.is_finished())
    }

    /// Gets all vCPUs out of the guest, if they are in it.
    pub fn kick(&self) {
        // It cannot fail: the number is a valid one. The handler only has to be there, so that the signal ends KVM_RUN.
        let _ = register_signal_handler(SIGRTMIN(), ignore_signal);
        for thread in self.lock().iter().filter(|thread| !thread.is_finished()) {
            let _ = thread.kill(SIGRTMIN());
        }
    }
}

/// A signal only has to end KVM_RUN.
extern "C" fn ignore_signal(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

#[cfg(test)]
mod machine_test;
