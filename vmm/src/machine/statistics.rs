//! KVM's own counters of a machine (KVM api.rst, section 4.133: KVM_GET_STATS_FD).

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;

use kvm_bindings::{KVM_STATS_TYPE_CUMULATIVE, KVM_STATS_TYPE_MASK};
use vmm_sys_util::ioctl::ioctl;

/// `_IO(KVMIO, 0xce)`, which kvm-ioctls does not have.
const KVM_GET_STATS_FD: libc::c_ulong = (kvm_bindings::KVMIO as libc::c_ulong) << 8 | 0xce;

/// Bytes of `struct kvm_stats_header`.
const HEADER_BYTES: usize = 24;
/// Bytes of `struct kvm_stats_desc` before the name.
const DESCRIPTOR_BYTES: usize = 16;
/// More descriptors, or longer names, than any kernel has.
const SANE: u32 = 4096;

/// A file that the counters of a machine or vCPU are read from.
#[derive(Debug)]
pub struct Statistics(File);

impl Statistics {
    /// The counters of a machine or of a vCPU. A vCPU has to be asked before it runs.
    pub fn of(machine_or_vcpu: &impl AsRawFd) -> io::Result<Self> {
        // SAFETY: the ioctl takes no argument, and touches no memory of ours.
        let descriptor = unsafe { ioctl(machine_or_vcpu, KVM_GET_STATS_FD) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor has just been made, and nobody else knows it.
        Ok(Self(unsafe { File::from_raw_fd(descriptor) }))
    }

    /// Adds the counts so far to `sums`, by name. Only plain, growing counters: no histograms, no peaks.
    pub fn add_to(&self, sums: &mut BTreeMap<String, u64>) -> io::Result<()> {
        let mut header = [0; HEADER_BYTES];
        self.0.read_exact_at(&mut header, 0)?;
        let [name_size, count, descriptors, data] = [4, 8, 16, 20].map(|at| word(&header, at));
        if name_size > SANE || count > SANE {
            return Err(io::Error::other("impossible statistics header"));
        }
        let size = DESCRIPTOR_BYTES + name_size as usize;
        let mut table = vec![0; size * count as usize];
        self.0.read_exact_at(&mut table, u64::from(descriptors))?;
        for descriptor in table.chunks_exact(size) {
            let (fixed, name) = descriptor.split_at(DESCRIPTOR_BYTES);
            // Fields: flags, exponent and size (16 bits each), offset, bucket size.
            let values = word(fixed, 4) >> 16;
            if word(fixed, 0) & KVM_STATS_TYPE_MASK != KVM_STATS_TYPE_CUMULATIVE || values != 1 {
                continue;
            }
            let mut value = [0; 8];
            self.0
                .read_exact_at(&mut value, u64::from(data) + u64::from(word(fixed, 8)))?;
            let name: Vec<u8> = name.iter().copied().take_while(|&byte| byte != 0).collect();
            *sums
                .entry(String::from_utf8_lossy(&name).into_owned())
                .or_default() += u64::from_le_bytes(value);
        }
        Ok(())
    }
}

/// The 32-bit word at this offset; callers name fields that are inside.
fn word(bytes: &[u8], offset: usize) -> u32 {
    bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
