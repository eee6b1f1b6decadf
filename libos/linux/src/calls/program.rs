//! Arguments that are addresses: what the program has there.

use alloc::vec;
use alloc::vec::Vec;

use exo_abi::address::{PAGE_SIZE, PROGRAM_BASE};
use exo_abi::upcall::Vector;
use exo_rt::fault::FaultRecord;
use exo_rt::program_memory;

use crate::errno::{Errno, Result};
use crate::files::path::PATH_MAX;
use crate::memory::Memory;
use crate::process::Process;

/// Refuses addresses that are not the program's. From the personality's own image on lies what it keeps for itself, and the kernel's
/// pages, the frame window apart.
fn check(address: u64, bytes: u64) -> Result<()> {
    let end = address.checked_add(bytes).ok_or(Errno::EFAULT)?;
    let own = address >= PROGRAM_BASE && end <= program_memory::image().start;
    if own || Memory::is_window(address) && Memory::is_window(end) {
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
fn read_into(process: &mut Process, address: u64, buffer: &mut [u8]) -> Result<()> {
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
    let mut text = Vec::new();
    let mut next = address;
    while text.len() < PATH_MAX {
        // Up to the end of a page: what follows may not be there, and need not.
        let mut part = vec![0; (PAGE_SIZE - next % PAGE_SIZE) as usize];
        read_into(process, next, &mut part)?;
        if let Some(length) = part.iter().position(|&byte| byte == 0) {
            text.extend_from_slice(part.get(..length).unwrap_or_default());
            return match text.len() < PATH_MAX {
                true => Ok(text),
                false => Err(Errno::ENAMETOOLONG),
            };
        }
        next = next.saturating_add(part.len() as u64);
        text.extend(part);
    }
    Err(Errno::ENAMETOOLONG)
}
