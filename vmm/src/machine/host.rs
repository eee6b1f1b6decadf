//! What kind of KVM host this is.

use std::path::Path;

/// How the host runs guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKind {
    /// The processor runs all of the guest.
    Hardware,
    /// As hardware, but that processor is itself virtual.
    Nested,
    /// No virtualisation in the processor: ring 3 runs natively, ring 0 is emulated (module `kvm_pvm`).
    Shadow,
    /// No KVM that we know.
    Unknown,
}

impl HostKind {
    /// Finds out.
    pub fn detect() -> Self {
        let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = information
            .lines()
            .find(|line| line.starts_with("flags"))
            .unwrap_or_default();
        Self::classify(flags, Path::new("/sys/module/kvm_pvm").exists())
    }

    /// From the processor's flags and whether `kvm_pvm` is loaded.
    fn classify(flags: &str, pvm: bool) -> Self {
        let has = |flag| flags.split_ascii_whitespace().any(|word| word == flag);
        match (has("vmx") || has("svm"), has("hypervisor")) {
            (true, false) => Self::Hardware,
            (true, true) => Self::Nested,
            (false, _) if pvm => Self::Shadow,
            (false, _) => Self::Unknown,
        }
    }

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Nested => "nested",
            Self::Shadow => "shadow",
            Self::Unknown => "unknown",
        }
    }
}

/// Version of the host's Linux.
pub fn linux_version() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".into(), |text| text.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart_by_flags_and_module() {
        for (flags, pvm, kind) in [
            ("flags : fpu svm npt", false, HostKind::Hardware),
            ("flags : fpu vmx hypervisor", false, HostKind::Nested),
            ("flags : fpu hypervisor", true, HostKind::Shadow),
            ("flags : fpu svm_lock", false, HostKind::Unknown),
        ] {
            assert_eq!(HostKind::classify(flags, pvm), kind, "{flags}");
        }
    }
}
