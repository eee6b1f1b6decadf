//! The record of a crash, read from guest memory. Nothing in it is trusted.

use exo_abi::crash::{
    CRASH_AUXILIARY_MAX, CRASH_REGIONS_MAX, CRASH_THREADS_MAX, CrashRecord, CrashRegion,
    CrashThread,
};
use kvm_ioctls::VcpuFd;
use vm_memory::{ByteValued, Bytes};

use crate::machine::translation::translate;
use crate::memory::{GuestMemory, Plain};

/// Bytes of a page, within which a translation holds.
pub const PAGE: u64 = 4096;
/// Longest path that is shown.
const PATH_MAX: u32 = 4096;

/// Memory as the page tables show it that a vCPU uses.
pub struct View<'a> {
    /// The vCPU; it stands still.
    pub vcpu: &'a VcpuFd,
    /// Guest memory.
    pub memory: &'a GuestMemory,
}

impl View<'_> {
    /// Fills `to` with what lies at `address`; false where some of it is not mapped.
    pub fn read(&self, address: u64, to: &mut [u8]) -> bool {
        let mut done = 0;
        while done < to.len() {
            let Some(next) = address.checked_add(done as u64) else {
                return false;
            };
            let length = ((PAGE - next % PAGE) as usize).min(to.len() - done);
            let part = to.get_mut(done..done + length);
            let read = part
                .zip(translate(self.vcpu, self.memory, next))
                .is_some_and(|(part, physical)| self.memory.read_slice(part, physical).is_ok());
            if !read {
                return false;
            }
            done += length;
        }
        true
    }

    fn read_object<T: Copy>(&self, address: u64) -> Option<T>
    where
        Plain<T>: ByteValued,
    {
        let mut object = Plain::<T>::zeroed();
        self.read(address, object.as_mut_slice())
            .then_some(object.0)
    }

    fn read_objects<T: Copy>(&self, address: u64, count: u32) -> Option<Vec<T>>
    where
        Plain<T>: ByteValued,
    {
        (0..u64::from(count))
            .map(|index| self.read_object(address.checked_add(index * size_of::<T>() as u64)?))
            .collect()
    }

    fn read_bytes(&self, address: u64, count: u32) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count as usize];
        self.read(address, &mut bytes).then_some(bytes)
    }
}

/// A crash.
pub struct Crash {
    /// What it is.
    pub record: CrashRecord,
    /// Threads; there is at least one, and the first has crashed.
    pub threads: Vec<CrashThread>,
    /// Memory, ascending, without overlap, in whole pages.
    pub regions: Vec<CrashRegion>,
    /// The auxiliary vector.
    pub auxiliary: Vec<u8>,
    /// The program's path.
    pub path: String,
}

impl Crash {
    /// Reads the record to which rdi points.
    pub fn read(view: &View) -> Option<Self> {
        let address = view.vcpu.get_regs().ok()?.rdi;
        let record: CrashRecord = view.read_object(address)?;
        let fits = (1..=CRASH_THREADS_MAX).contains(&record.thread_count)
            && record.region_count <= CRASH_REGIONS_MAX
            && record.auxiliary_bytes <= CRASH_AUXILIARY_MAX
            && record.path_bytes <= PATH_MAX;
        if !fits {
            return None;
        }
        let regions: Vec<CrashRegion> = view.read_objects(record.regions, record.region_count)?;
        let mut end = 0;
        for region in &regions {
            let aligned = region.start.is_multiple_of(PAGE) && region.end.is_multiple_of(PAGE);
            if !aligned || region.start < end || region.end <= region.start {
                return None;
            }
            end = region.end;
        }
        let path = view.read_bytes(record.path, record.path_bytes)?;
        Some(Self {
            threads: view.read_objects(record.threads, record.thread_count)?,
            regions,
            auxiliary: view.read_bytes(record.auxiliary, record.auxiliary_bytes)?,
            path: String::from_utf8_lossy(&path).into_owned(),
            record,
        })
    }

    /// A value of the auxiliary vector.
    pub fn auxiliary(&self, kind: u64) -> Option<u64> {
        let (words, _) = self.auxiliary.as_chunks::<8>();
        let mut words = words.iter().map(|bytes| u64::from_le_bytes(*bytes));
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            if key == kind {
                return Some(value);
            }
        }
        None
    }
}

/// Places in [`CrashThread::registers`].
pub mod register {
    /// Frame pointer.
    pub const RBP: usize = 4;
    /// Instruction pointer.
    pub const RIP: usize = 16;
    /// Stack pointer.
    pub const RSP: usize = 19;
}
