//! Guest memory, and the contract's structures as plain bytes in it.
//!
//! The guest may change any of it at any time: values are copied out whole and once, and no reference into it is ever made.

#![allow(unsafe_code)]

use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use exo_abi::address::{BLOCK_SIZE, DEVICE_HOLE, DEVICE_HOLE_END, PAGE_SIZE};
use exo_abi::bundle::{BundleHeader, EnvironmentRecord};
use exo_abi::capability::CapabilityEntry;
use exo_abi::control::ControlBlock;
use exo_abi::crash::{CrashRecord, CrashRegion, CrashThread};
use exo_abi::environment::{CallPage, EnvironmentEntry};
use exo_abi::file_index::{IndexEntry, IndexHeader, IndexNode};
use exo_abi::function::{FunctionEntry, FunctionRecord};
use exo_abi::layout::Summary;
use exo_abi::pvh::{MemoryEntry, ModuleEntry, StartInfo};
use exo_abi::revocation::RevocationEntry;
use exo_abi::slice::SliceEntry;
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use vm_memory::{
    ByteValued, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, GuestRegionMmap, MmapRegion,
};

use crate::error::Error;

/// All memory of the machine: one host mapping per range, touched by nobody before the guest.
pub type GuestMemory = vm_memory::GuestMemoryMmap<()>;

/// A structure of the contract, to be read from and written to guest memory as bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub struct Plain<T>(pub T);

/// Declares structures to be plain bytes.
macro_rules! plain {
    ($($structure:ty),+ $(,)?) => {
        $(
            // SAFETY: 1. the structure is `repr(C)` and made of integers only, so any bytes are a valid value; 2. its
            // fields leave no padding: `exo-abi` asserts the size that they add up to.
            unsafe impl ByteValued for Plain<$structure> {}
        )+
    };
}

plain!(
    BundleHeader,
    CapabilityEntry,
    CallPage,
    ControlBlock,
    CrashRecord,
    CrashRegion,
    CrashThread,
    EnvironmentEntry,
    EnvironmentRecord,
    FunctionEntry,
    FunctionRecord,
    IndexEntry,
    IndexHeader,
    IndexNode,
    MemoryEntry,
    ModuleEntry,
    RevocationEntry,
    SliceEntry,
    StartInfo,
    Summary,
);

/// The ranges of memory of a machine with `size` bytes: first address and bytes.
pub fn ranges(size: u64) -> Vec<(u64, u64)> {
    let low = size.min(DEVICE_HOLE);
    let mut ranges = vec![(0, low)];
    if size > low {
        ranges.push((DEVICE_HOLE_END, size - low));
    }
    ranges
}

/// Reserves host memory for a machine with `size` bytes, for as long as this process runs. It is zero, and costs nothing until it is touched.
pub fn map(size: u64) -> Result<GuestMemory, Error> {
    let mut regions = Vec::new();
    for (start, length) in ranges(size) {
        let length = usize::try_from(length).map_err(|_| too_much(size))?;
        let region = reserve(length)
            .and_then(|region| GuestRegionMmap::new(region, GuestAddress(start)))
            .ok_or_else(|| too_much(size))?;
        regions.push(region);
    }
    GuestMemory::from_regions(regions).map_err(|_| too_much(size))
}

/// Reserves memory whose host address is a multiple of 2 MiB, as its guest-physical address is: else no page of 2 MiB would fit both.
fn reserve(length: usize) -> Option<MmapRegion> {
    let (rights, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
    );
    let block = BLOCK_SIZE as usize;
    let room = length.checked_add(block)?;
    // SAFETY: new memory at an address of the system's choice.
    let place = unsafe { libc::mmap(ptr::null_mut(), room, rights, flags, -1, 0) };
    if place == libc::MAP_FAILED {
        return None;
    }
    let before = place.align_offset(block);
    let start = place.wrapping_byte_add(before);
    let end = start.wrapping_byte_add(length);
    for (piece, bytes) in [(place, before), (end, block - before)] {
        // SAFETY: 1. the piece is of the memory that was just reserved, and nobody uses it; 2. it is whole pages.
        unsafe { libc::munmap(piece, bytes) };
    }
    // SAFETY: the range is mapped with these rights, and nobody unmaps it.
    unsafe { MmapRegion::build_raw(start.cast(), length, rights, flags) }.ok()
}

/// Keeps memory below `granted`, as far as boot touches it, in small pages, a few of which are touched here and there: the host would
/// clear 2 MiB for each. What environments allocate, up to `end`, comes in blocks of 2 MiB, and gets pages of that size. It is advice, so a
/// host that does not take it is no error.
pub fn advise_page_sizes(memory: &GuestMemory, granted: u64, end: u64) {
    advise(memory, 0..granted, libc::MADV_NOHUGEPAGE);
    advise(memory, granted..end, libc::MADV_HUGEPAGE);
}

fn advise(memory: &GuestMemory, range: Range<u64>, advice: i32) {
    for region in memory.iter() {
        let start = range.start.max(region.start_addr().0);
        let end = range.end.min(region.last_addr().0.saturating_add(1));
        let length = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
        let Ok(slice) = memory.get_slice(GuestAddress(start), length) else {
            continue;
        };
        let start = slice.ptr_guard_mut().as_ptr();
        // SAFETY: 1. the range is inside one mapping of ours, as `get_slice` has checked; 2. the advice changes no contents.
        unsafe { libc::madvise(start.cast(), length, advice) };
    }
}

/// Maps the first `bytes` bytes of a file in place of memory: what is written there stays in memory (`MAP_PRIVATE`), and the rest of
/// the last page reads as zero (mmap(2)). The file must not become shorter.
pub fn map_file(
    memory: &GuestMemory,
    address: GuestAddress,
    file: BorrowedFd<'_>,
    bytes: u64,
) -> io::Result<()> {
    let length = usize::try_from(bytes).map_err(io::Error::other)?;
    if length == 0 {
        return Ok(());
    }
    let slice = memory
        .get_slice(address, length)
        .map_err(io::Error::other)?;
    let start = slice.ptr_guard_mut().as_ptr();
    if !(start as u64).is_multiple_of(PAGE_SIZE) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let (rights, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE,
    );
    // SAFETY: 1. the pages are inside one mapping of ours, as `get_slice` has checked, for mappings are whole pages; 2. guest memory is
    // reached by raw accesses only, so nobody has a reference that the change could surprise.
    let mapped = unsafe { libc::mmap(start.cast(), length, rights, flags, file.as_raw_fd(), 0) };
    match mapped == libc::MAP_FAILED {
        true => Err(io::Error::last_os_error()),
        false => Ok(()),
    }
}

fn too_much(size: u64) -> Error {
    Error::System(format!(
        "the host cannot map {} MiB for the guest; ask for less with --memory",
        size >> 20
    ))
}

/// Makes `memory` the machine's memory. To be done before the interrupt controller is created: the other order takes
/// ten times as long on some hosts.
pub fn register(vm: &VmFd, memory: &GuestMemory) -> Result<(), Error> {
    for (slot, region) in memory.iter().enumerate() {
        let start = region.start_addr();
        let host = memory
            .get_host_address(start)
            .map_err(|error| Error::System(format!("guest memory has no host address: {error}")))?;
        let description = kvm_userspace_memory_region {
            slot: slot as u32,
            guest_phys_addr: start.0,
            memory_size: region.len(),
            userspace_addr: host as u64,
            flags: 0,
        };
        // SAFETY: 1. the range is mapped, by `map`; 2. it stays mapped while the machine can run: the vCPU threads hold
        // the `Arc<GuestMemory>`; 3. ranges do not overlap, and each has its own slot.
        unsafe { vm.set_user_memory_region(description) }.map_err(|error| {
            Error::system("giving memory to KVM (KVM_SET_USER_MEMORY_REGION)", error)
        })?;
    }
    Ok(())
}

/// Guest memory that has been touched, in KiB, as `/proc` tells.
pub fn resident_kib(memory: &GuestMemory) -> Option<u64> {
    let mappings = std::fs::read_to_string("/proc/self/smaps").ok()?;
    let mut sum = 0;
    let mut is_guest = false;
    for line in mappings.lines() {
        if let Some((from, to)) = mapping(line) {
            is_guest = memory.iter().any(|region| {
                let host = memory
                    .get_host_address(region.start_addr())
                    .map_or(0, |host| host as u64);
                host < to && from < host.saturating_add(region.len())
            });
        } else if is_guest && let Some(size) = line.strip_prefix("Rss:") {
            sum += size.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
        }
    }
    Some(sum)
}

/// A size in KiB that `/proc/self/status` tells of this process (proc_pid_status(5)): `VmRSS`, or `VmHWM`, the most that it ever was.
pub fn process_kib(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let (_, size) = lines.find(|(name, _)| *name == field)?;
    size.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The range in the first line of a mapping in `smaps`.
fn mapping(line: &str) -> Option<(u64, u64)> {
    let (from, to) = line.split_ascii_whitespace().next()?.split_once('-')?;
    Some((
        u64::from_str_radix(from, 16).ok()?,
        u64::from_str_radix(to, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::Bytes;

    #[test]
    fn memory_leaves_the_device_hole_out() {
        assert_eq!(ranges(64 << 20), [(0, 64 << 20)]);
        assert_eq!(ranges(DEVICE_HOLE), [(0, DEVICE_HOLE)]);
        assert_eq!(ranges(5 << 30), [(0, DEVICE_HOLE), (4 << 30, 2 << 30)]);
    }

    #[test]
    fn touched_memory_is_counted() {
        let memory = map(64 << 20).unwrap();
        // Other tests' memory may lie right beside this one's and be counted with it, but is far smaller.
        let size = 32 << 20;
        assert!(resident_kib(&memory).unwrap() < size >> 10);
        memory
            .write_slice(&vec![1; size as usize], GuestAddress(0))
            .unwrap();
        assert!(resident_kib(&memory).unwrap() >= size >> 10);
    }
}
