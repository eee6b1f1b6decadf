//! `exo doctor`: what this host offers and lacks, and how to mend it.

use std::path::Path;

use kvm_ioctls::{Cap, Kvm};

use super::exit_status;
use crate::error::Error;
use crate::image::home::Home;
use crate::machine::host::{HostKind, linux_version};
use crate::machine::hypervisor::{self, CAPABILITIES, KVM_DEVICE};

/// What was found out about one thing.
struct Finding {
    /// What it is about.
    subject: &'static str,
    verdict: Verdict,
    /// What is there, or why it is missing and how to mend it.
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is there.
    Good,
    /// Something works less well without it.
    Lacking,
    /// Nothing runs without it.
    Missing,
}

/// Looks at everything, prints one line each; the status is 0 if images can run here.
pub fn examine() -> u8 {
    let kind = HostKind::detect();
    let mut findings = vec![host(kind)];
    let mut status = 0;
    match hypervisor::open() {
        Ok(kvm) => {
            findings.push(good("kvm", format!("{KVM_DEVICE} opens")));
            findings.extend(capabilities(&kvm));
        }
        Err(error) => {
            status = exit_status::of_error(&error);
            findings.push(Finding {
                subject: "kvm",
                verdict: Verdict::Missing,
                text: error.to_string(),
            });
        }
    }
    findings.push(io_uring());
    findings.push(perf());
    findings.push(guest_files());
    let mut text = String::new();
    for finding in &findings {
        let mark = match finding.verdict {
            Verdict::Good => "ok     ",
            Verdict::Lacking => "lacking",
            Verdict::Missing => "MISSING",
        };
        text.push_str(&format!(
            "{mark}  {:<14} {}\n",
            finding.subject, finding.text
        ));
    }
    super::print(&text);
    if status == 0
        && findings
            .iter()
            .any(|finding| finding.verdict == Verdict::Missing)
    {
        status = exit_status::of_error(&Error::NoKvm(String::new()));
    }
    status
}

fn good(subject: &'static str, text: String) -> Finding {
    Finding {
        subject,
        verdict: Verdict::Good,
        text,
    }
}

fn host(kind: HostKind) -> Finding {
    let linux = linux_version();
    let text = match kind {
        HostKind::Hardware => format!("hardware KVM, Linux {linux}"),
        HostKind::Nested => format!(
            "nested KVM, Linux {linux}: the processor is itself virtual, so times say little"
        ),
        HostKind::Shadow => format!(
            "shadow KVM, Linux {linux}: ring 3 runs natively, ring 0 is emulated, at 1,600 cycles an instruction or more"
        ),
        HostKind::Unknown => {
            let text = format!(
                "Linux {linux}, no virtualisation in /proc/cpuinfo and no kvm_pvm module; turn VT-x or SVM on in the firmware, or nested virtualisation in the hypervisor"
            );
            return Finding {
                subject: "host",
                verdict: Verdict::Lacking,
                text,
            };
        }
    };
    good("host", text)
}

fn capabilities(kvm: &Kvm) -> Vec<Finding> {
    let mut findings = Vec::new();
    let missing: Vec<_> = CAPABILITIES
        .iter()
        .filter(|(capability, _)| !kvm.check_extension(*capability))
        .map(|(_, name)| *name)
        .collect();
    findings.push(if missing.is_empty() {
        let names: Vec<_> = CAPABILITIES
            .iter()
            .map(|(_, name)| name.trim_start_matches("KVM_CAP_"))
            .collect();
        good("capabilities", names.join(" "))
    } else {
        Finding {
            subject: "capabilities",
            verdict: Verdict::Missing,
            text: format!("{} not offered; use Linux 4.5 or newer", missing.join(" ")),
        }
    });
    findings.push(if kvm.check_extension_raw(u64::from(kvm_bindings::KVM_CAP_BINARY_STATS_FD)) > 0 {
        good("statistics", "KVM's own counters appear in --json and --stats".into())
    } else {
        Finding {
            subject: "statistics",
            verdict: Verdict::Lacking,
            text: "KVM's own counters are missing from --json and --stats; use Linux 5.14 or newer".into(),
        }
    });
    findings.push(if kvm.check_extension(Cap::GetTscKhz) {
        good("clock", "KVM tells the frequency of the time stamp counter".into())
    } else {
        Finding {
            subject: "clock",
            verdict: Verdict::Lacking,
            text: "KVM does not tell the frequency of the time stamp counter, so reports lack guest times; use a host with a constant one".into(),
        }
    });
    findings.push(good(
        "vcpus",
        format!(
            "up to {} recommended, {} possible",
            kvm.get_nr_vcpus(),
            kvm.get_max_vcpus()
        ),
    ));
    findings
}

fn io_uring() -> Finding {
    let lacking = |text: String| Finding {
        subject: "io_uring",
        verdict: Verdict::Lacking,
        text,
    };
    match io_uring::IoUring::new(2) {
        Ok(_) => good("io_uring", "disks are read and written asynchronously".into()),
        Err(error) => match error.raw_os_error() {
            Some(libc::ENOSYS) => lacking("this Linux has none, so disks are slower; use Linux 5.6 or newer".into()),
            Some(libc::EPERM | libc::EACCES) => lacking(
                "not permitted, so disks are slower; set sysctl kernel.io_uring_disabled=0, or allow it in the container's seccomp profile".into(),
            ),
            _ => lacking(format!("cannot be set up ({error}), so disks are slower; raise the memory lock limit (ulimit -l)")),
        },
    }
}

fn perf() -> Finding {
    let lacking = |text: &str| Finding {
        subject: "perf",
        verdict: Verdict::Lacking,
        text: text.into(),
    };
    let tracing = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
    let Some(tracing) = tracing
        .iter()
        .find(|folder| Path::new(folder).join("events").exists())
    else {
        return lacking(
            "no tracepoints, so ring-0 path lengths cannot be counted; as root: mount -t tracefs none /sys/kernel/tracing",
        );
    };
    let event = Path::new(tracing).join("events/kvm/kvm_emulate_insn/id");
    if std::fs::read_to_string(event).is_err() {
        return lacking(
            "tracepoint kvm:kvm_emulate_insn cannot be read; run as root, or load the module kvm first",
        );
    }
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join("perf").is_file())
    });
    if found {
        good(
            "perf",
            "tracepoint kvm:kvm_emulate_insn and the program perf are there".into(),
        )
    } else {
        lacking("the program perf is missing; install it (Debian: apt-get install linux-perf)")
    }
}

fn guest_files() -> Finding {
    let home = Home::find();
    let lacking = |text| Finding {
        subject: "guest",
        verdict: Verdict::Lacking,
        text,
    };
    match home.kernel() {
        Ok(kernel) if kernel.exists() => good("guest", format!("kernel {}", kernel.display())),
        Ok(kernel) => lacking(format!(
            "kernel {} does not exist; run scripts/build",
            kernel.display()
        )),
        Err(error) => lacking(error.to_string()),
    }
}
