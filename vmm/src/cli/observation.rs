//! Makes the report of a run from what is left of its machine.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use exo_abi::ABI_VERSION;
use exo_abi::port::ExitCode;

use super::report::{
    EnvironmentReport, HostReport, MachineCounters, MemoryReport, Report, Timings, Versions,
    VmExits,
};
use super::run::StartClock;
use crate::devices::FunctionStatistics;
use crate::machine::ending::{ClockPair, End};
use crate::machine::environments::{self, Environment};
use crate::machine::host::{HostKind, linux_version};
use crate::machine::processor::ExitCounts;
use crate::machine::{Machine, Outcome};
use crate::memory;

/// Set by scripts to when they started the process, in nanoseconds since 1970 (`date +%s%N`).
pub const START_VARIABLE: &str = "EXO_START_NS";

/// What a run was, beside its machine.
pub struct Run<'a> {
    /// Image as it was asked for.
    pub image: &'a str,
    /// Exit status.
    pub status: u8,
    /// When `main` began.
    pub clock: StartClock,
    /// How it went.
    pub outcome: &'a Outcome,
    /// The environments at the end.
    pub environments: &'a [Environment],
    /// What each function has done.
    pub functions: Vec<FunctionStatistics>,
}

impl Run<'_> {
    /// The report.
    pub fn report(self, machine: &Machine) -> Report {
        // First of all, since what follows takes memory itself.
        let peak_kib = memory::process_kib("VmHWM");
        let exits: Vec<VmExits> = machine.exit_counts().iter().map(snapshot).collect();
        let mut sum = VmExits::default();
        for one in &exits {
            sum.memory += one.memory;
            sum.port += one.port;
            sum.other += one.other;
        }
        let mut kvm = BTreeMap::new();
        for statistics in machine.statistics() {
            // A counter that cannot be read is left out.
            let _ = statistics.add_to(&mut kvm);
        }
        kvm.retain(|_, count| *count != 0);
        let environments = self.environments.iter().enumerate();
        let environments = environments.filter(|(_, one)| one.was_used());
        let owners = environments::function_owners(machine.memory(), &machine.map.layout);
        let doorbells = |index: usize| {
            let owned = self.functions.iter().zip(&owners);
            let owned = owned.filter(|(_, owner)| **owner == Some(index));
            owned
                .flat_map(|(function, _)| &function.queues)
                .map(|queue| queue.doorbells)
                .sum()
        };
        Report {
            image: self.image.to_owned(),
            status: self.status,
            end: end_name(&self.outcome.end),
            failure: match &self.outcome.end {
                End::Failed { what, registers } => Some(format!("{what}\n{registers}")),
                End::Asked(_) | End::AskedStrangely(_) => None,
            },
            environments: environments
                .map(|(index, one)| {
                    // The first entry is nobody's.
                    let own = exits.get(index + 1).copied().unwrap_or_default();
                    EnvironmentReport::new(one, doorbells(index), own)
                })
                .collect(),
            functions: self.functions.clone(),
            counters: MachineCounters { vm_exits: sum, kvm },
            timings: self.timings(machine.tsc_khz),
            memory: MemoryReport {
                guest_kib: machine.map.memory >> 10,
                guest_resident_kib: memory::resident_kib(machine.memory()),
                peak_kib,
            },
            host: HostReport {
                kind: HostKind::detect().name(),
                linux: linux_version(),
                tsc_khz: machine.tsc_khz,
                vcpus: machine.vcpus(),
            },
            versions: Versions {
                exo: env!("CARGO_PKG_VERSION"),
                abi: ABI_VERSION,
            },
        }
    }

    fn timings(&self, tsc_khz: u64) -> Timings {
        let before_main = std::env::var(START_VARIABLE).ok().and_then(|text| {
            let start = SystemTime::UNIX_EPOCH + Duration::from_nanos(text.parse().ok()?);
            self.clock.wall.duration_since(start).ok()
        });
        let lead = before_main.unwrap_or_default();
        let since = |moment: Instant| {
            (moment.saturating_duration_since(self.clock.instant) + lead).as_micros() as u64
        };
        let first = self
            .environments
            .iter()
            .map(|one| one.call_page.start_time)
            .filter(|&stamp| stamp != 0)
            .min()
            .zip(self.outcome.clock)
            .and_then(|(stamp, clock)| moment_of(stamp, clock, tsc_khz));
        Timings {
            origin: if before_main.is_some() {
                START_VARIABLE
            } else {
                "main"
            },
            main_us: lead.as_micros() as u64,
            first_run_us: Some(since(self.outcome.started)),
            first_instruction_us: first.map(since),
            end_us: since(self.outcome.ended),
            total_us: since(Instant::now()),
        }
    }
}

/// When the guest's time stamp counter stood at `stamp`. The libOS may have written anything there.
fn moment_of(stamp: u64, clock: ClockPair, tsc_khz: u64) -> Option<Instant> {
    let ticks = u128::from(clock.guest_tsc.checked_sub(stamp)?);
    let nanoseconds = (ticks * 1_000_000).checked_div(u128::from(tsc_khz))?;
    clock
        .host
        .checked_sub(Duration::from_nanos(u64::try_from(nanoseconds).ok()?))
}

/// The name of an end in reports.
fn end_name(end: &End) -> &'static str {
    match end {
        End::Asked(ExitCode::Orderly) => "orderly",
        End::Asked(code) => code.name(),
        End::AskedStrangely(_) => "unknown-exit-code",
        End::Failed { .. } => "machine-failure",
    }
}

fn snapshot(counts: &ExitCounts) -> VmExits {
    VmExits {
        memory: counts.memory.load(Ordering::Relaxed),
        port: counts.port.load(Ordering::Relaxed),
        other: counts.other.load(Ordering::Relaxed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_time_is_converted_back_from_the_end() {
        let host = Instant::now();
        let clock = ClockPair {
            guest_tsc: 10_000_000,
            host,
        };
        let moment = |stamp| moment_of(stamp, clock, 2_000_000);
        assert_eq!(moment(10_000_000), Some(host));
        assert_eq!(moment(8_000_000), Some(host - Duration::from_millis(1)));
        assert_eq!(moment(10_000_001), None);
        assert_eq!(moment_of(0, clock, 0), None);
    }
}
