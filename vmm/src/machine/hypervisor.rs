//! The KVM virtual machine: made in the order that starts fastest.

use std::sync::Arc;

use exo_abi::bundle::Features;
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_enable_cap};
use kvm_ioctls::{Cap, Kvm, VcpuFd, VmFd};

use crate::error::Error;
use crate::memory::{self, GuestMemory};

/// The device that gives access to KVM.
pub const KVM_DEVICE: &str = "/dev/kvm";
/// The one version of the KVM interface (api.rst, section 4.1).
pub const KVM_VERSION: i32 = 12;

/// Three pages at the end of the device hole, where no device is.
const REAL_MODE_PAGES: usize = 0xfffb_d000;

/// What the machine cannot do without, with a name for messages.
pub const CAPABILITIES: [(Cap, &str); 5] = [
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    (Cap::Irqfd, "KVM_CAP_IRQFD"),
    (Cap::Ioeventfd, "KVM_CAP_IOEVENTFD"),
    (Cap::IrqRouting, "KVM_CAP_IRQ_ROUTING"),
    (Cap::SplitIrqchip, "KVM_CAP_SPLIT_IRQCHIP"),
];

/// Opens KVM, or says what is missing.
pub fn open() -> Result<Kvm, Error> {
    let kvm = Kvm::new().map_err(|error| match error.errno() {
        libc::ENOENT | libc::ENODEV | libc::ENXIO => Error::NoKvm(format!(
            "{KVM_DEVICE} does not exist; load the module (modprobe kvm_intel or kvm_amd), turn virtualisation on in the firmware, or pass the device into this container (--device {KVM_DEVICE})"
        )),
        libc::EACCES | libc::EPERM => Error::NotPermitted(format!(
            "{KVM_DEVICE} may not be opened by this user; join its group (sudo usermod -aG kvm $USER, then log in again)"
        )),
        _ => Error::NoKvm(format!("{KVM_DEVICE} cannot be opened: {error}; run exo doctor")),
    })?;
    if kvm.get_api_version() != KVM_VERSION {
        return Err(Error::NoKvm(format!(
            "{KVM_DEVICE} speaks version {} of the KVM interface, not {KVM_VERSION}; use a newer Linux",
            kvm.get_api_version()
        )));
    }
    Ok(kvm)
}

/// A virtual machine with memory and interrupt controllers, but no vCPU yet.
pub struct Hypervisor {
    /// The virtual machine.
    pub vm: Arc<VmFd>,
    /// What its vCPUs are told that they can do.
    cpuid: CpuId,
    /// Whether their timers have the TSC-deadline mode (api.rst, section 4.46: not told by the bit of CPUID).
    tsc_deadline: bool,
}

impl Hypervisor {
    /// Makes a machine with this memory.
    pub fn new(kvm: &Kvm, memory: &GuestMemory) -> Result<Self, Error> {
        let vm = kvm.create_vm().map_err(|error| {
            Error::NoKvm(format!(
                "KVM cannot make a virtual machine: {error}; run exo doctor"
            ))
        })?;
        memory::register(&vm, memory)?;
        // Processors of Intel without "unrestricted guest" need three pages for real mode, in which other vCPUs start
        // (api.rst, section 4.35); all others ignore this.
        vm.set_tss_address(REAL_MODE_PAGES)
            .map_err(|error| Error::system("placing the TSS (KVM_SET_TSS_ADDR)", error))?;
        // We take the split controller: local APICs in the kernel, where irqfd needs them, and no 8259 nor IO-APIC,
        // which no guest of ours uses. It starts faster, too. No IO-APIC routes are reserved.
        let split = kvm_enable_cap {
            cap: Cap::SplitIrqchip as u32,
            ..Default::default()
        };
        vm.enable_cap(&split).map_err(|error| {
            Error::NoKvm(format!(
                "KVM has no split interrupt controller: {error}; use Linux 4.5 or newer"
            ))
        })?;
        let cpuid = kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(|error| {
                Error::system("reading CPU features (KVM_GET_SUPPORTED_CPUID)", error)
            })?;
        Ok(Self {
            vm: Arc::new(vm),
            cpuid,
            tsc_deadline: kvm.check_extension(Cap::TscDeadlineTimer),
        })
    }

    /// Makes vCPU `index` of `count`; its APIC id is its index.
    pub fn create_vcpu(&self, index: u32, count: u32) -> Result<VcpuFd, Error> {
        let vcpu = self
            .vm
            .create_vcpu(u64::from(index))
            .map_err(|error| Error::system("making a vCPU (KVM_CREATE_VCPU)", error))?;
        let mut cpuid = self.cpuid.clone();
        for entry in cpuid.as_mut_slice() {
            match entry.function {
                // Intel SDM volume 2, CPUID: leaf 1 EBX has the APIC id in bits 31:24 and the logical processors in 23:16.
                1 => {
                    entry.ebx = entry.ebx & 0xffff | index << 24 | count << 16;
                    entry.ecx |= HYPERVISOR_PRESENT;
                    if self.tsc_deadline {
                        entry.ecx |= TSC_DEADLINE;
                    }
                }
                // Extended topology: EDX is the x2APIC id.
                0xb | 0x1f => entry.edx = index,
                _ => {}
            }
        }
        vcpu.set_cpuid2(&cpuid)
            .map_err(|error| Error::system("setting CPU features (KVM_SET_CPUID2)", error))?;
        Ok(vcpu)
    }

    /// [`Features`] that depend on the host. What KVM does not offer is not there, whatever the guest's CPUID says.
    pub fn features(&self) -> u64 {
        let mut features = Features::CONTROL_DEVICE | self.vector_features();
        if self.tsc_deadline {
            features |= Features::TSC_DEADLINE;
        }
        for entry in self.cpuid.as_slice() {
            if entry.function == 1 && entry.ecx & X2APIC != 0 {
                features |= Features::X2APIC;
            }
            if entry.function == 7 && entry.index == 0 {
                for (register, bit, feature) in [
                    (entry.ebx, FSGSBASE, Features::FSGSBASE),
                    (entry.ebx, SMEP, Features::SMEP),
                    (entry.ebx, SMAP, Features::SMAP),
                    (entry.ecx, UMIP, Features::UMIP),
                ] {
                    if register & bit != 0 {
                        features |= feature;
                    }
                }
            }
        }
        features
    }

    /// Whether ring 3 runs on the processor itself and ring 0 is emulated: the host does not offer XSAVE although its processor has it.
    pub fn runs_ring_3_natively(&self) -> bool {
        self.vector_features() != 0
    }

    /// What ring 3 must clear itself. A host that does not offer XSAVE although its processor has AVX runs ring 3 natively, with the
    /// registers of AVX in reach (shadow KVM); where XSAVE is offered, the kernel leaves it off, and AVX raises an exception.
    fn vector_features(&self) -> u64 {
        let offered = self
            .cpuid
            .as_slice()
            .iter()
            .any(|entry| entry.function == 1 && entry.ecx & XSAVE != 0);
        match (
            offered,
            is_x86_feature_detected!("avx"),
            is_x86_feature_detected!("avx512f"),
        ) {
            (false, true, true) => Features::CLEAR_AVX512,
            (false, true, false) => Features::CLEAR_AVX,
            _ => 0,
        }
    }
}

/// CPUID leaf 1, ECX: XSAVE.
const XSAVE: u32 = 1 << 26;
/// CPUID leaf 1, ECX: x2APIC.
const X2APIC: u32 = 1 << 21;
/// CPUID leaf 1, ECX: the APIC timer has the TSC-deadline mode.
const TSC_DEADLINE: u32 = 1 << 24;
/// CPUID leaf 1, ECX: a hypervisor is there.
const HYPERVISOR_PRESENT: u32 = 1 << 31;
/// CPUID leaf 7, EBX: `wrfsbase` and its like.
const FSGSBASE: u32 = 1 << 0;
/// CPUID leaf 7, EBX: supervisor-mode execution prevention.
const SMEP: u32 = 1 << 7;
/// CPUID leaf 7, EBX: supervisor-mode access prevention.
const SMAP: u32 = 1 << 20;
/// CPUID leaf 7, ECX: user-mode instruction prevention.
const UMIP: u32 = 1 << 2;
