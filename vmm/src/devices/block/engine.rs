//! Transfers between guest memory and files, with no copy in between: by io_uring, or by system calls one by one.
//!
//! This file holds all unsafe code of the devices. What makes it sound:
//! - E-1: the vectors of a slot point into guest memory, which `memory` keeps mapped as long as the engine lives.
//! - E-2: a slot's vectors are changed only while it is not in flight.
//! - E-3: an engine is dropped only after all its slots have landed.
//! - E-4: nobody makes a reference to guest memory, so that the host writing there races with no Rust access.

#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use exo_abi::function::StopReason;
use io_uring::{IoUring, opcode, squeue, types};
use vm_memory::{GuestAddress, GuestMemory as _, Permissions};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::super::chain::Buffer;
use super::super::endpoint::DmaMemory;
use crate::memory::GuestMemory;

/// Most submissions that wait for one system call.
const SUBMISSIONS_MAX: u16 = 64;

/// One operation on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// File to memory.
    Read(u64),
    /// Memory to file.
    Write(u64),
    /// What was written is on the disk.
    Synchronize,
    /// The range reads as zero, and the host may take its room back.
    Clear(u64, u64),
}

struct Slot {
    vectors: Vec<libc::iovec>,
    in_flight: bool,
}

/// What carries operations out.
pub struct Engine {
    carrier: Carrier,
    slots: Vec<Slot>,
    flying: usize,
    /// E-1.
    _memory: GuestMemory,
}

enum Carrier {
    Ring {
        ring: Box<IoUring>,
        unsubmitted: bool,
        event: Option<EventFd>,
    },
    /// System calls; results that were not asked for yet. Who starts operations asks before he sleeps: no event is needed.
    Direct(VecDeque<(u16, i32)>),
}

impl Engine {
    /// An engine for `slots` operations at a time. With `event`, it signals when something is done.
    pub fn new(memory: GuestMemory, slots: u16, event: bool) -> io::Result<Self> {
        let event = event.then(|| EventFd::new(EFD_NONBLOCK)).transpose()?;
        let ring = IoUring::builder()
            .dontfork()
            .setup_cqsize(u32::from(slots.max(SUBMISSIONS_MAX)).next_power_of_two())
            .build(u32::from(slots.clamp(1, SUBMISSIONS_MAX)));
        let carrier = match ring {
            Ok(ring) => {
                if let Some(event) = &event {
                    ring.submitter().register_eventfd(event.as_raw_fd())?;
                }
                Carrier::Ring {
                    ring: Box::new(ring),
                    unsubmitted: false,
                    event,
                }
            }
            // Forbidden by the administrator (kernel.io_uring_disabled) or a container: slower, but the same.
            Err(_) => Carrier::Direct(VecDeque::new()),
        };
        Ok(Self::with_carrier(memory, slots, carrier))
    }

    /// An engine that uses no io_uring: better for a disk in memory, which io_uring would leave to a thread.
    pub fn without_ring(memory: GuestMemory, slots: u16) -> Self {
        Self::with_carrier(memory, slots, Carrier::Direct(VecDeque::new()))
    }

    fn with_carrier(memory: GuestMemory, slots: u16, carrier: Carrier) -> Self {
        let slots = (0..slots)
            .map(|_| Slot {
                vectors: Vec::new(),
                in_flight: false,
            })
            .collect();
        Self {
            carrier,
            slots,
            flying: 0,
            _memory: memory,
        }
    }

    /// Signalled when something is done.
    pub fn event(&self) -> Option<RawFd> {
        match &self.carrier {
            Carrier::Ring { event, .. } => event.as_ref().map(EventFd::as_raw_fd),
            Carrier::Direct(_) => None,
        }
    }

    /// Operations that have not landed.
    pub fn flying(&self) -> usize {
        self.flying
    }

    /// Makes `buffer` the memory of `slot`. Returns all its addresses and lengths, or'ed together.
    pub fn aim(
        &mut self,
        slot: u16,
        memory: &DmaMemory,
        buffer: &Buffer,
        access: Permissions,
    ) -> Result<u64, StopReason> {
        let Some(slot) = self.idle(slot) else {
            return Err(StopReason::Host);
        };
        slot.vectors.clear();
        let mut alignment = 0;
        for segment in buffer.segments() {
            let slices = memory
                .get_slices(
                    GuestAddress(segment.address),
                    segment.length as usize,
                    access,
                )
                .map_err(|_| StopReason::BufferAddress)?;
            for slice in slices {
                let slice = slice.map_err(|_| StopReason::BufferAddress)?;
                let vector = libc::iovec {
                    iov_base: slice.ptr_guard_mut().as_ptr().cast(),
                    iov_len: slice.len(),
                };
                alignment |= vector.iov_base as u64 | vector.iov_len as u64;
                slot.vectors.push(vector);
            }
        }
        Ok(alignment)
    }

    /// Takes the first `done` bytes off what `slot` is aimed at.
    pub fn advance(&mut self, slot: u16, mut done: usize) {
        let Some(slot) = self.idle(slot) else {
            return;
        };
        let mut whole = 0;
        for vector in &mut slot.vectors {
            let count = done.min(vector.iov_len);
            // Stays inside the vector, or at its end.
            vector.iov_base = vector.iov_base.cast::<u8>().wrapping_add(count).cast();
            vector.iov_len -= count;
            done -= count;
            whole += usize::from(vector.iov_len == 0 && done > 0);
        }
        slot.vectors.drain(..whole);
    }

    fn idle(&mut self, slot: u16) -> Option<&mut Slot> {
        self.slots
            .get_mut(usize::from(slot))
            .filter(|slot| !slot.in_flight)
    }

    /// Starts an operation on `file`, which must stay open until it has landed: the next `flush` makes sure.
    pub fn start(&mut self, number: u16, file: RawFd, operation: Operation) {
        let Some(slot) = self
            .slots
            .get_mut(usize::from(number))
            .filter(|slot| !slot.in_flight)
        else {
            return;
        };
        slot.in_flight = true;
        self.flying += 1;
        match &mut self.carrier {
            Carrier::Ring {
                ring, unsubmitted, ..
            } => {
                let entry = entry(slot, file, operation).user_data(u64::from(number));
                *unsubmitted = true;
                loop {
                    // SAFETY: 1. the vectors stay as they are until the operation has landed (E-2, E-3); 2. what they
                    // point to stays mapped (E-1); 3. the caller keeps the file open.
                    let pushed = unsafe { ring.submission().push(&entry) };
                    if pushed.is_ok() {
                        return;
                    }
                    // Full: hand over what is there. An error here means busy, and passes.
                    let _ = ring.submit();
                }
            }
            Carrier::Direct(results) => {
                results.push_back((number, carry_out(slot, file, operation)));
            }
        }
    }

    /// Hands everything started to the host.
    pub fn flush(&mut self) {
        if let Carrier::Ring {
            ring, unsubmitted, ..
        } = &mut self.carrier
            && *unsubmitted
            && ring.submit().is_ok()
        {
            *unsubmitted = !ring.submission().is_empty();
        }
    }

    /// An operation that has landed: its slot, and what the system call would return (an error negative).
    pub fn landed(&mut self) -> Option<(u16, i32)> {
        let (number, result) = match &mut self.carrier {
            Carrier::Ring { ring, .. } => {
                let entry = ring.completion().next()?;
                (entry.user_data() as u16, entry.result())
            }
            Carrier::Direct(results) => results.pop_front()?,
        };
        if let Some(slot) = self.slots.get_mut(usize::from(number)) {
            slot.in_flight = false;
            self.flying -= 1;
        }
        Some((number, result))
    }

    /// Waits until something has landed, if anything flies. May return early.
    pub fn wait(&mut self) {
        if let Carrier::Ring {
            ring, unsubmitted, ..
        } = &mut self.carrier
            && self.flying > 0
            && ring.submit_and_wait(1).is_ok()
        {
            *unsubmitted = !ring.submission().is_empty();
        }
    }
}

impl Drop for Engine {
    /// E-3.
    fn drop(&mut self) {
        while self.flying > 0 {
            self.wait();
            while self.landed().is_some() {}
        }
    }
}

/// The io_uring form of an operation.
fn entry(slot: &Slot, file: RawFd, operation: Operation) -> squeue::Entry {
    let file = types::Fd(file);
    let (vectors, count) = (slot.vectors.as_ptr(), slot.vectors.len() as u32);
    match operation {
        Operation::Read(offset) => opcode::Readv::new(file, vectors, count)
            .offset(offset)
            .build(),
        Operation::Write(offset) => opcode::Writev::new(file, vectors, count)
            .offset(offset)
            .build(),
        Operation::Synchronize => opcode::Fsync::new(file)
            .flags(types::FsyncFlags::DATASYNC)
            .build(),
        Operation::Clear(offset, length) => opcode::Fallocate::new(file, length)
            .offset(offset)
            .mode(CLEAR)
            .build(),
    }
}

/// Punching a hole is what both files and block devices know.
const CLEAR: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;

/// The system call form of an operation.
fn carry_out(slot: &Slot, file: RawFd, operation: Operation) -> i32 {
    let (vectors, count) = (slot.vectors.as_ptr(), slot.vectors.len() as i32);
    let result = match operation {
        // SAFETY: the vectors describe mapped memory (E-1) that no reference points to (E-4).
        Operation::Read(offset) => unsafe { libc::preadv(file, vectors, count, offset as i64) },
        // SAFETY: as above.
        Operation::Write(offset) => unsafe { libc::pwritev(file, vectors, count, offset as i64) },
        // SAFETY: touches no memory of ours.
        Operation::Synchronize => unsafe { libc::fdatasync(file) as isize },
        // SAFETY: touches no memory of ours.
        Operation::Clear(offset, length) => unsafe {
            libc::fallocate(file, CLEAR, offset as i64, length as i64) as isize
        },
    };
    if result < 0 {
        return -io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO);
    }
    i32::try_from(result).unwrap_or(i32::MAX)
}

/// An empty file in memory.
pub fn create_memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: `name` is a string that ends with a zero.
    let file = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    Ok(unsafe { File::from_raw_fd(file) })
}

// SAFETY: 1. the vectors are the only field that is not Send by itself; 2. they are used only with the engine borrowed
// mutably, and point to memory that belongs to no thread (E-1, E-4).
unsafe impl Send for Slot {}
