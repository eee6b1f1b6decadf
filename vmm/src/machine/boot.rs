//! PVH boot: the kernel, the bundle and the start information in guest memory.
//!
//! The protocol is Xen's `docs/misc/pvh.pandoc`; QEMU's `-kernel` follows it too.

use std::fs::File;
use std::io;

use exo_abi::address::{DEVICE_HOLE, DEVICE_HOLE_END};
use exo_abi::pvh::{MEMORY_RAM, MemoryEntry, ModuleEntry, START_MAGIC, StartInfo};
use linux_loader::loader::{KernelLoader, elf::Elf};
use vm_memory::{Bytes, GuestAddress};

use super::memory_map::{BOOT_DATA_END, COMMAND_LINE, MemoryMap, START_INFO};
use crate::error::Error;
use crate::image::bundle::{Bundle, BundleTarget};
use crate::image::executable::Executable;
use crate::memory::{self, GuestMemory, Plain};

/// Kind of a range in the memory map that is not for use (ACPI `AddressRangeReserved`).
const MEMORY_RESERVED: u32 = 2;

/// Loads the kernel and gives its 32-bit entry point.
pub fn load_kernel(memory: &GuestMemory, kernel: &Executable) -> Result<u32, Error> {
    let Some(entry) = kernel.pvh_entry else {
        return Err(kernel.bad("has no PVH entry note (XEN_ELFNOTE_PHYS32_ENTRY), so it cannot be booted; build it with scripts/build"));
    };
    let inside = kernel.segments.iter().any(|segment| {
        let offset = u64::from(entry).checked_sub(segment.physical);
        segment.execute && offset.is_some_and(|offset| offset < segment.memory_size)
    });
    if !inside {
        return Err(kernel.bad("has its PVH entry outside its code; link it anew"));
    }
    let mut file = kernel
        .file
        .try_clone()
        .map_err(|error| Error::system("duplicating a file descriptor", error))?;
    Elf::load(memory, None, &mut file, None).map_err(|error| {
        kernel.bad(&format!(
            "cannot be loaded ({error}); build it again with scripts/build"
        ))
    })?;
    Ok(entry)
}

/// Writes the bundle to its place.
pub fn load_bundle(memory: &GuestMemory, map: &MemoryMap, bundle: &Bundle) -> Result<(), Error> {
    bundle
        .write(&mut Window { memory, base: map.bundle })
        .map_err(|error| Error::System(format!("the programs could not be read into memory: {error}; were they changed just now? try again")))
}

/// Writes the start information, which the kernel finds by `ebx`.
pub fn write_start_info(
    memory: &GuestMemory,
    map: &MemoryMap,
    bundle_bytes: u64,
    command_line: &str,
    rsdp: u64,
) -> Result<(), Error> {
    let mut entries: Vec<_> = memory::ranges(map.memory)
        .into_iter()
        .map(|(address, size)| MemoryEntry {
            address,
            size,
            kind: MEMORY_RAM,
            reserved: 0,
        })
        .collect();
    entries.push(MemoryEntry {
        address: DEVICE_HOLE,
        size: DEVICE_HOLE_END - DEVICE_HOLE,
        kind: MEMORY_RESERVED,
        reserved: 0,
    });
    entries.sort_by_key(|entry| entry.address);
    let modules = START_INFO + size_of::<StartInfo>() as u64;
    let memory_map = modules + size_of::<ModuleEntry>() as u64;
    let start_info = StartInfo {
        magic: START_MAGIC,
        version: 1,
        flags: 0,
        module_count: 1,
        modules,
        command_line: COMMAND_LINE,
        rsdp,
        memory_map,
        memory_map_entries: entries.len() as u32,
        reserved: 0,
    };
    let module = ModuleEntry {
        address: map.bundle,
        size: bundle_bytes,
        command_line: 0,
        reserved: 0,
    };
    let mut line = command_line.as_bytes().to_vec();
    line.truncate((BOOT_DATA_END - COMMAND_LINE) as usize - 1);
    line.push(0);
    let write = || -> vm_memory::guest_memory::Result<()> {
        memory.write_obj(Plain(start_info), GuestAddress(START_INFO))?;
        memory.write_obj(Plain(module), GuestAddress(modules))?;
        for (index, entry) in entries.iter().enumerate() {
            let address = memory_map + (index * size_of::<MemoryEntry>()) as u64;
            memory.write_obj(Plain(*entry), GuestAddress(address))?;
        }
        memory.write_slice(&line, GuestAddress(COMMAND_LINE))
    };
    write().map_err(|error| {
        Error::System(format!(
            "start information does not fit guest memory: {error}"
        ))
    })
}

/// The part of guest memory that the bundle goes to; fresh memory is zero.
struct Window<'a> {
    memory: &'a GuestMemory,
    base: u64,
}

impl BundleTarget for Window<'_> {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.memory
            .write_slice(bytes, GuestAddress(self.base + offset))
            .map_err(io::Error::other)
    }

    fn copy(&mut self, offset: u64, file: &File, from: u64, length: u64) -> io::Result<()> {
        use std::io::Seek;
        let mut file = file;
        file.seek(io::SeekFrom::Start(from))?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.memory
            .read_exact_volatile_from(GuestAddress(self.base + offset), &mut file, length)
            .map_err(io::Error::other)
    }
}
