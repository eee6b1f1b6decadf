//! The report as a table for people.

use std::fmt::{self, Display, Formatter};

use super::report::{EnvironmentReport, Report, VmExits};

/// Shows a report in columns.
pub struct Table<'a>(pub &'a Report);

impl Display for Table<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Report {
            counters,
            timings,
            memory,
            host,
            versions,
            ..
        } = self.0;
        for environment in &self.0.environments {
            write_environment(out, environment)?;
        }
        for function in &self.0.functions {
            for (index, queue) in function.queues.iter().enumerate() {
                write!(
                    out,
                    "function {:<19} queue {index}: {} requests, {} bytes, {} doorbells, {} interrupts",
                    function.name, queue.requests, queue.bytes, queue.doorbells, queue.interrupts
                )?;
                match queue.stop_reason {
                    "none" => writeln!(out)?,
                    reason => writeln!(out, ", stopped: {reason}")?,
                }
            }
        }
        writeln!(out, "machine                      {}", self.0.end)?;
        writeln!(
            out,
            "  exits to the VMM           {}",
            Exits(&counters.vm_exits)
        )?;
        for (name, count) in &counters.kvm {
            writeln!(out, "  kvm {name:<22} {count}")?;
        }
        writeln!(out, "  memory                     {} KiB", memory.guest_kib)?;
        if let (Some(resident), Some(peak)) = (memory.guest_resident_kib, memory.peak_kib) {
            writeln!(out, "    touched by the guest     {resident} KiB")?;
            writeln!(
                out,
                "    beside it, at most       {} KiB",
                peak.saturating_sub(resident)
            )?;
        }
        writeln!(out, "time since {:<17} ", timings.origin)?;
        for (name, moment) in [
            ("main", Some(timings.main_us)),
            ("vCPU let go", timings.first_run_us),
            ("first libOS instruction", timings.first_instruction_us),
            ("end", Some(timings.end_us)),
        ] {
            if let Some(moment) = moment {
                writeln!(
                    out,
                    "  {name:<26} {}.{:03} ms",
                    moment / 1000,
                    moment % 1000
                )?;
            }
        }
        writeln!(
            out,
            "host                         {} KVM, Linux {}, {} vCPU, TSC {} MHz",
            host.kind,
            host.linux,
            host.vcpus,
            host.tsc_khz / 1000
        )?;
        writeln!(
            out,
            "exo                          {}, ABI {}",
            versions.exo, versions.abi
        )
    }
}

fn write_environment(out: &mut Formatter<'_>, environment: &EnvironmentReport) -> fmt::Result {
    write!(out, "environment {:<16} ", environment.name)?;
    match (environment.exit_status, &environment.abort) {
        (Some(status), _) => writeln!(out, "exited with status {status}")?,
        (None, Some(abort)) => writeln!(
            out,
            "ended by the kernel: {}, {} (error code {:#x}) at {:#x}, address {:#x}",
            abort.reason,
            abort
                .vector_name
                .map_or_else(|| format!("vector {}", abort.vector), str::to_owned),
            abort.error_code,
            abort.instruction,
            abort.address
        )?,
        (None, None) => writeln!(out, "{}", environment.state)?,
    }
    let counters = &environment.counters;
    let total: u64 = counters.kernel_entries.values().sum();
    writeln!(out, "  kernel calls               {total}")?;
    for (name, count) in counters
        .kernel_entries
        .iter()
        .filter(|(_, count)| **count != 0)
    {
        writeln!(out, "    {name:<24} {count}")?;
    }
    for (name, count) in [
        ("upcalls", counters.upcalls),
        ("interrupts", counters.interrupts),
        ("doorbells", counters.doorbells),
        ("requests", counters.requests),
        ("bytes", counters.bytes),
    ] {
        writeln!(out, "  {name:<26} {count}")?;
    }
    writeln!(
        out,
        "  exits to the VMM           {}",
        Exits(&counters.vm_exits)
    )?;
    let held = &environment.held;
    writeln!(
        out,
        "  held at the end            {} of {} frames, {} of {} tables, {} of {} capabilities",
        held.frames,
        held.frames_quota,
        held.tables,
        held.tables_quota,
        held.capabilities,
        held.capabilities_quota
    )
}

/// Exits in one line.
struct Exits<'a>(&'a VmExits);

impl Display for Exits<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let VmExits {
            memory,
            port,
            other,
        } = self.0;
        write!(
            out,
            "{} ({memory} device memory, {port} port, {other} other)",
            self.0.total()
        )
    }
}
