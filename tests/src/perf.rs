//! Counts ring-0 instructions: on shadow KVM each of them is emulated, and one tracepoint fires for each.
//!
//! `perf` counts in the host's kernel, so the counts have no noise: the same run gives the same number.

use std::process::Command;

use crate::{Machine, host, outcome::Outcome, process};

const EVENT: &str = "kvm:kvm_emulate_insn";
/// An `iretq` to ring 3 is reported twice: emulated in part, and then as failed, when the processor goes on natively.
const FILTER: &str = "failed==0";

/// Why ring-0 instructions cannot be counted here, if they cannot.
pub fn missing() -> Option<String> {
    if let Some(reason) = host::kvm_missing() {
        return Some(reason);
    }
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let has = |flag: &str| {
        flags
            .lines()
            .any(|line| line.starts_with("flags") && line.split(' ').any(|word| word == flag))
    };
    if has("vmx") || has("svm") {
        return Some(
            "this KVM runs ring 0 on the hardware, so no instruction is emulated and counted"
                .to_owned(),
        );
    }
    let mut probe = Command::new("perf");
    probe.args(["stat", "-x,", "-e", EVENT, "true"]);
    match probe.output() {
        Err(error) => Some(format!("perf: {error}; scripts/setup installs it")),
        Ok(output) if !output.status.success() => Some(format!(
            "perf may not count {EVENT} (as root it may, or with kernel.perf_event_paranoid=-1)"
        )),
        Ok(_) => None,
    }
}

/// Runs a machine with `perf` around it; gives its outcome and the ring-0 instructions of the whole run.
pub fn count(machine: &Machine) -> (Outcome, u64) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let path = file
        .path()
        .to_str()
        .expect("temporary paths are plain text");
    let outcome = machine
        .clone()
        .under(&[
            "perf", "stat", "-x,", "-e", EVENT, "--filter", FILTER, "-o", path, "--",
        ])
        .run();
    let text = std::fs::read_to_string(file.path()).expect("perf wrote its file");
    let count = text
        .lines()
        .find(|line| line.contains(EVENT))
        .and_then(|line| line.split(',').next()?.parse().ok())
        .unwrap_or_else(|| panic!("perf counted nothing: {text}"));
    (outcome, count)
}

/// The address of every ring-0 instruction of a run, in order.
pub fn trace(machine: &Machine) -> (Outcome, Vec<u64>) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let path = file
        .path()
        .to_str()
        .expect("temporary paths are plain text");
    let outcome = machine
        .clone()
        .under(&[
            "perf", "record", "-q", "-m", "16M", "-c", "1", "-e", EVENT, "--filter", FILTER, "-o",
            path, "--",
        ])
        .run();
    let script = process::run(Command::new("perf").args(["script", "-F", "trace", "-i", path]));
    assert_eq!(script.status, 0, "perf script failed: {}", script.stderr);
    assert!(
        !script.stderr.contains("lost"),
        "perf lost events: {}",
        script.stderr
    );
    let addresses = script.stdout.lines().filter_map(address_in).collect();
    (outcome, addresses)
}

/// The address in a line like `0:ffffffff80100000: 48 cf (prot64)`.
fn address_in(line: &str) -> Option<u64> {
    let (_, rest) = line.trim().split_once(':')?;
    u64::from_str_radix(rest.split_once(':')?.0.trim(), 16).ok()
}
