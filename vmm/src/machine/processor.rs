//! A vCPU thread: runs the guest, and serves its exits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use exo_abi::EnvironmentId;
use exo_abi::port::CRASH_PORT;
use kvm_bindings::{Msrs, kvm_msr_entry};
use kvm_ioctls::{VcpuExit, VcpuFd};
use vm_memory::{Address, Bytes, GuestAddress};

use super::bus::Bus;
use super::emulation;
use super::ending::{ClockPair, End, Ending};
use super::ports::Ports;
use super::registers;
use crate::crash::Crashes;
use crate::debugger::Stops;
use crate::memory::GuestMemory;

/// The time stamp counter (Intel SDM volume 4, table 2-2).
const MSR_TSC: u32 = 0x10;

/// Exits to the VMM while one environment ran, by what they were for.
#[derive(Debug, Default)]
pub struct ExitCounts {
    /// Loads and stores of device memory.
    pub memory: AtomicU64,
    /// Port instructions.
    pub port: AtomicU64,
    /// Signals, and whatever else there is.
    pub other: AtomicU64,
}

/// What all vCPUs share.
pub struct Surroundings {
    /// Guest memory.
    pub memory: Arc<GuestMemory>,
    /// Where in it the kernel says who runs on each vCPU.
    pub running: GuestAddress,
    /// Exits, by environment; the first entry is nobody's: the kernel's at boot.
    pub exits: Vec<ExitCounts>,
    /// Device memory.
    pub bus: Bus,
    /// Ports.
    pub ports: Ports,
    /// The end of the run.
    pub ending: Ending,
    /// What becomes of crashes of programs.
    pub crashes: Crashes,
    /// Where the debugger stops vCPUs, if there is one.
    pub stops: Option<Arc<Stops>>,
}

impl Surroundings {
    /// Number of whoever runs on vCPU `index`, as the kernel says; 0: nobody.
    pub fn running(&self, index: u32) -> u16 {
        let entry = u64::from(index) * size_of::<EnvironmentId>() as u64;
        let running = self.running.unchecked_add(entry);
        self.memory.read_obj(running).unwrap_or(0)
    }

    /// Its exits. What is no environment counts as nobody.
    fn exits_of(&self, index: u32) -> Option<&ExitCounts> {
        let number = usize::from(self.running(index));
        self.exits.get(number).or(self.exits.first())
    }
}

/// Runs vCPU `index` until the machine ends, and is the one who says so if it ends here.
pub fn run(index: u32, mut vcpu: VcpuFd, around: &Surroundings) {
    while !around.ending.is_stopping() {
        if let Some(stops) = around.stops.as_ref().filter(|stops| stops.are_wanted()) {
            stops.serve(index as usize, &mut vcpu, None);
        }
        if let Some(end) = step(index, &mut vcpu, around) {
            around.ending.report(end, read_clock(&vcpu));
        }
    }
}

/// Runs the guest up to the next exit, and serves that.
fn step(index: u32, vcpu: &mut VcpuFd, around: &Surroundings) -> Option<End> {
    let count = |kind: fn(&ExitCounts) -> &AtomicU64| {
        if let Some(counts) = around.exits_of(index) {
            kind(counts).fetch_add(1, Ordering::Relaxed);
        }
    };
    let what = match vcpu.run() {
        Ok(VcpuExit::IoOut(port, data)) => {
            count(|counts| &counts.port);
            if port == CRASH_PORT && data.len() == size_of::<u32>() {
                around.crashes.report(vcpu, &around.memory);
                return None;
            }
            return around.ports.write(around.running(index), port, data);
        }
        Ok(VcpuExit::IoIn(port, data)) => {
            count(|counts| &counts.port);
            around.ports.read(port, data);
            return None;
        }
        Ok(VcpuExit::MmioWrite(address, data)) => {
            count(|counts| &counts.memory);
            around.bus.write(address, data);
            return None;
        }
        Ok(VcpuExit::MmioRead(address, data)) => {
            count(|counts| &counts.memory);
            around.bus.read(address, data);
            return None;
        }
        Ok(VcpuExit::Debug(exit)) => {
            count(|counts| &counts.other);
            if let Some(stops) = &around.stops {
                stops.serve(index as usize, vcpu, Some(exit.dr6));
            }
            return None;
        }
        Ok(VcpuExit::Shutdown) => "triple fault".to_owned(),
        Ok(VcpuExit::InternalError) => {
            if emulation::make_exception(vcpu) {
                count(|counts| &counts.other);
                return None;
            }
            "KVM internal error, mostly an instruction that KVM cannot emulate".to_owned()
        }
        Ok(VcpuExit::FailEntry(reason, _)) => {
            format!("the processor refused to enter the guest, reason {reason:#x}")
        }
        Ok(exit) => format!("an exit that this machine does not have: {exit:?}"),
        Err(error) => match error.errno() {
            // EAGAIN: a waiting vCPU got its SIPI. EINTR: a signal; the caller looks whether to stop.
            libc::EAGAIN | libc::EINTR => {
                count(|counts| &counts.other);
                return None;
            }
            _ => format!("KVM_RUN failed: {error}"),
        },
    };
    count(|counts| &counts.other);
    let registers = registers::describe(vcpu, &around.memory);
    let place = vcpu.get_regs().map_or(String::new(), |general| {
        format!(" at rip {:#x}", general.rip)
    });
    Some(End::Failed {
        what: format!("vCPU {index}: {what}{place}"),
        registers,
    })
}

/// The guest's time stamp counter and the host's clock, together.
fn read_clock(vcpu: &VcpuFd) -> Option<ClockPair> {
    let entry = kvm_msr_entry {
        index: MSR_TSC,
        ..Default::default()
    };
    let mut msrs = Msrs::from_entries(&[entry]).ok()?;
    let host = Instant::now();
    let read = vcpu.get_msrs(&mut msrs).ok()?;
    let value = msrs.as_slice().first()?.data;
    (read == 1).then_some(ClockPair {
        guest_tsc: value,
        host,
    })
}
