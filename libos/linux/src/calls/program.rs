//! Arguments that are addresses: what the program has there.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::{IntoIter, Vec};

use exo_abi::address::{PAGE_SIZE, PROGRAM_BASE};
use exo_abi::upcall::Vector;
use exo_rt::fault::FaultRecord;
use exo_rt::program_memory;

use crate::errno::{Errno, Result};
use crate::files::asker::Asker;
use crate::files::path::PATH_MAX;
use crate::memory::{MEMORY_END, Memory};
use crate::process::Process;
use crate::signal::Information;
use crate::wait::{Interrupted, Stop, Wait, WaitQueue};

/// Refuses addresses that are not the program's.
pub fn check(address: u64, bytes: u64) -> Result<()> {
    let end = address.checked_add(bytes).ok_or(Errno::EFAULT)?;
    // No bytes lie anywhere, at a null pointer too.
    if (bytes == 0 || address >= PROGRAM_BASE) && end <= MEMORY_END {
        Ok(())
    } else {
        Err(Errno::EFAULT)
    }
}

/// Does what faults where a page is to be mapped first, until it is done or may not be.
fn retry(
    process: &mut Process,
    write: bool,
    mut access: impl FnMut() -> core::result::Result<(), FaultRecord>,
) -> Result<()> {
    while let Err(record) = access() {
        let is_page_fault = record.vector == Vector::PageFault as u64;
        if !is_page_fault || !process.memory.handle_fault(record.address, write, false) {
            return Err(Errno::EFAULT);
        }
    }
    Ok(())
}

/// Reads bytes into a buffer.
pub fn read_into(process: &mut Process, address: u64, buffer: &mut [u8]) -> Result<()> {
    check(address, buffer.len() as u64)?;
    retry(process, false, || program_memory::read(address, buffer))
}

/// Reads bytes.
pub fn read(process: &mut Process, address: u64, bytes: usize) -> Result<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve(bytes).map_err(|_| Errno::ENOMEM)?;
    buffer.resize(bytes, 0);
    read_into(process, address, &mut buffer)?;
    Ok(buffer)
}

/// Writes bytes.
pub fn write(process: &mut Process, address: u64, bytes: &[u8]) -> Result<()> {
    check(address, bytes.len() as u64)?;
    retry(process, true, || program_memory::write(address, bytes))
}

/// Does what moves four bytes at once.
fn access_number(
    process: &mut Process,
    address: u64,
    write: bool,
    access: impl Fn() -> core::result::Result<u32, FaultRecord>,
) -> Result<u32> {
    check(address, 4)?;
    if !address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let mut number = 0;
    retry(process, write, || access().map(|found| number = found))?;
    Ok(number)
}

/// Reads a number of four bytes that others may change meanwhile; its address is a multiple of 4.
pub fn load(process: &mut Process, address: u64) -> Result<u32> {
    access_number(process, address, false, || program_memory::load(address))
}

/// Writes such a number if `expected` is there; what was there.
pub fn compare_exchange(
    process: &mut Process,
    address: u64,
    expected: u32,
    new: u32,
) -> Result<u32> {
    access_number(process, address, true, || {
        program_memory::compare_exchange(address, expected, new)
    })
}

/// Changes such a number; what was there.
pub fn update(process: &mut Process, address: u64, change: impl Fn(u32) -> u32) -> Result<u32> {
    let mut expected = load(process, address)?;
    loop {
        let found = compare_exchange(process, address, expected, change(expected))?;
        if found == expected {
            return Ok(found);
        }
        expected = found;
    }
}

/// Memory of the program that one call fills or empties: pieces, one after the other.
pub struct Buffer<'p> {
    process: &'p mut Process,
    /// What is left of the current piece: address and bytes.
    piece: (u64, u64),
    rest: IntoIter<[u64; 2]>,
    left: u64,
    moved: u64,
}

/// Most bytes that one call moves, as under Linux (`MAX_RW_COUNT`, linux, include/linux/fs.h).
const BYTES_MAX: u64 = 0x7fff_f000;
/// Most pieces of a buffer (`UIO_MAXIOV`).
const PIECES_MAX: u64 = 1024;
/// Zeros, to fill buffers with.
static ZEROS: [u8; PAGE_SIZE as usize] = [0; PAGE_SIZE as usize];

impl<'p> Buffer<'p> {
    /// One piece.
    pub fn new(process: &'p mut Process, address: u64, bytes: u64) -> Result<Self> {
        let left = bytes.min(BYTES_MAX);
        check(address, left)?;
        Ok(Self {
            process,
            piece: (address, left),
            rest: Vec::new().into_iter(),
            left,
            moved: 0,
        })
    }

    /// Memory of the personality itself, in place of the program's.
    pub fn own(process: &'p mut Process, bytes: &'p mut [u8]) -> Self {
        let left = bytes.len() as u64;
        Self {
            process,
            piece: (bytes.as_mut_ptr() as u64, left),
            rest: Vec::new().into_iter(),
            left,
            moved: 0,
        }
    }

    /// The pieces of a vector of `struct iovec`.
    pub fn vector(process: &'p mut Process, vector: u64, entries: u64) -> Result<Self> {
        if entries > PIECES_MAX {
            return Err(Errno::EINVAL);
        }
        let mut pieces = Vec::new();
        let mut left = 0;
        for entry in 0..entries {
            let [address, bytes] = read_words(process, vector.wrapping_add(16 * entry))?;
            if bytes > i64::MAX as u64 {
                return Err(Errno::EINVAL);
            }
            let bytes = bytes.min(BYTES_MAX - left);
            check(address, bytes)?;
            left += bytes;
            pieces.push([address, bytes]);
        }
        Ok(Self {
            process,
            piece: (0, 0),
            rest: pieces.into_iter(),
            left,
            moved: 0,
        })
    }

    /// Goes on where an earlier try of the same call stopped.
    pub fn resume(&mut self) {
        let waited = self.process.threads.current.waited;
        self.skip(waited.map_or(0, |waited| waited.moved));
    }

    /// Who makes the call.
    pub fn asker(&self) -> Asker {
        Asker::of(self.process)
    }

    /// Takes a signal of a set that is pending for who makes the call.
    pub fn take_signal(&mut self, set: u64) -> Option<Information> {
        let own = self.process.threads.current.signals.pending.take(set);
        own.or_else(|| self.process.signals.pending.take(set))
    }

    /// The deadline of the call: that which it had when it was made, or else a new one.
    pub fn deadline(&self, new: impl FnOnce() -> u64) -> u64 {
        self.process.threads.current.deadline(new)
    }

    /// The wait of the call for more, on a queue.
    pub fn wait(&self, queue: &Rc<WaitQueue>) -> Stop {
        let mut wait = Wait::queue(queue);
        wait.moved = self.moved;
        if self.moved != 0 {
            wait.interrupted = Interrupted::Give(self.moved);
        }
        wait.into()
    }

    /// Bytes that are still to move.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Bytes that were moved.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Passes over bytes that an earlier try of the same call has moved.
    pub fn skip(&mut self, bytes: u64) {
        let mut left = bytes.min(self.left);
        while let Some((_, length)) = self.next(left) {
            left -= length;
        }
    }

    /// Address and length of what comes next in one piece, at most `bytes`; `None` at the end.
    fn next(&mut self, bytes: u64) -> Option<(u64, u64)> {
        if bytes == 0 {
            return None;
        }
        while self.piece.1 == 0 {
            let [address, length] = self.rest.next()?;
            self.piece = (address, length);
        }
        let (address, length) = (self.piece.0, self.piece.1.min(bytes));
        self.piece = (address + length, self.piece.1 - length);
        self.left -= length;
        self.moved += length;
        Some((address, length))
    }

    /// Does `step` for pieces that hold the next `bytes` bytes, with what of these comes before it.
    fn for_each(
        &mut self,
        bytes: usize,
        write: bool,
        mut step: impl FnMut(u64, core::ops::Range<usize>) -> core::result::Result<(), FaultRecord>,
    ) -> Result<usize> {
        let mut done = 0;
        while let Some((address, length)) = self.next((bytes - done) as u64) {
            let range = done..done + length as usize;
            retry(self.process, write, || step(address, range.clone()))?;
            done = range.end;
        }
        Ok(done)
    }

    /// Fills in as many of these bytes as there is room for; says how many.
    pub fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        self.for_each(bytes.len(), true, |address, range| {
            program_memory::write(address, bytes.get(range).unwrap_or_default())
        })
    }

    /// Fills in zeros, as many as there is room for but at most `bytes`; says how many.
    pub fn put_zeros(&mut self, bytes: u64) -> Result {
        let mut left = bytes.min(self.left);
        while left != 0 {
            let piece = (left as usize).min(ZEROS.len());
            left -= self.put(ZEROS.get(..piece).unwrap_or_default())? as u64;
        }
        Ok(bytes)
    }

    /// Fills in bytes that lie at an address of the personality's own; says how many.
    pub fn put_from(&mut self, address: u64, bytes: u64) -> Result {
        self.for_each(bytes as usize, true, |to, range| {
            program_memory::copy(address + range.start as u64, to, range.len() as u64)
        })
        .map(|moved| moved as u64)
    }

    /// Takes bytes to an address of the personality's own; says how many.
    pub fn take_to(&mut self, address: u64, bytes: u64) -> Result {
        self.for_each(bytes as usize, false, |from, range| {
            program_memory::copy(from, address + range.start as u64, range.len() as u64)
        })
        .map(|moved| moved as u64)
    }

    /// The memory of the program, for what is done on the way.
    pub fn memory(&mut self) -> &mut Memory {
        &mut self.process.memory
    }

    /// The time, in nanoseconds since 1970.
    pub fn now(&self) -> u64 {
        self.process.tree.store.now()
    }

    /// Takes as many bytes as there are, or as `into` holds; says how many.
    pub fn take(&mut self, into: &mut [u8]) -> Result<usize> {
        self.for_each(into.len(), false, |address, range| {
            program_memory::read(address, into.get_mut(range).unwrap_or_default())
        })
    }
}

/// Reads words.
pub fn read_words<const N: usize>(process: &mut Process, address: u64) -> Result<[u64; N]> {
    let mut words = [0; N];
    for (index, word) in words.iter_mut().enumerate() {
        let mut bytes = [0; 8];
        read_into(process, address.wrapping_add(8 * index as u64), &mut bytes)?;
        *word = u64::from_le_bytes(bytes);
    }
    Ok(words)
}

/// Writes words.
pub fn write_words(process: &mut Process, address: u64, words: &[u64]) -> Result<()> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    write(process, address, &bytes)
}

/// Reads a string up to its zero, at most as long as a path.
pub fn read_string(process: &mut Process, address: u64) -> Result<Vec<u8>> {
    read_text(process, address, PATH_MAX, Errno::ENAMETOOLONG)
}

/// Reads a string of fewer than `most` bytes up to its zero; `error` where it is longer.
pub fn read_text(
    process: &mut Process,
    address: u64,
    most: usize,
    error: Errno,
) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut next = address;
    while text.len() < most {
        // Up to the end of a page: what follows may not be there, and need not.
        let mut part = vec![0; (PAGE_SIZE - next % PAGE_SIZE) as usize];
        read_into(process, next, &mut part)?;
        if let Some(length) = part.iter().position(|&byte| byte == 0) {
            text.extend_from_slice(part.get(..length).unwrap_or_default());
            return match text.len() < most {
                true => Ok(text),
                false => Err(error),
            };
        }
        next = next.saturating_add(part.len() as u64);
        text.extend(part);
    }
    Err(error)
}
