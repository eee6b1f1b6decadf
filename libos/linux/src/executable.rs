//! ELF executables, as a loader sees them. Nothing in the file is trusted.

use alloc::vec;
use alloc::vec::Vec;

use exo_abi::Rights;
use exo_abi::address::{PAGE_SIZE, PROGRAM_END};
use exo_rt::program_memory;
use object::LittleEndian;
use object::elf::{
    EM_X86_64, ET_DYN, ET_EXEC, FileHeader64, PF_W, PF_X, PT_INTERP, PT_LOAD, ProgramFlags,
    ProgramHeader64,
};
use object::read::elf::{FileHeader, ProgramHeader};

use crate::files::path::PATH_MAX;
use crate::options::Attachment;

/// A part of the file, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// First byte in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub file_bytes: u64,
    /// Address as linked.
    pub address: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Rights of its pages.
    pub rights: Rights,
}

/// What a loader needs of an executable.
#[derive(Debug)]
pub struct Executable {
    /// Loadable segments, ascending.
    pub segments: Vec<Segment>,
    /// First instruction, as linked.
    pub entry: u64,
    /// The path of what loads the libraries that it is linked with, if it is.
    pub interpreter: Option<Vec<u8>>,
    /// Whether it may be loaded anywhere.
    pub is_relocatable: bool,
    /// Where its program headers are in memory, as linked.
    pub headers_address: u64,
    /// How many.
    pub header_count: u64,
}

/// Bytes at the start of the file that must hold the program headers: linkers put them right behind the file header.
const HEAD_BYTES: u64 = 64 << 10;

impl Executable {
    /// Reads the headers of an attached file.
    pub fn read(file: Attachment) -> Result<Self, &'static str> {
        let mut head = vec![0; file.bytes.min(HEAD_BYTES) as usize];
        program_memory::read(file.view(), &mut head).map_err(|_| "its attachment is not there")?;
        let head: &[u8] = &head;
        let header =
            FileHeader64::<LittleEndian>::parse(head).map_err(|_| "it is no 64-bit ELF file")?;
        let kind = header.e_type(LittleEndian);
        if header.e_machine(LittleEndian) != EM_X86_64 || !matches!(kind, ET_EXEC | ET_DYN) {
            return Err("it is no executable for x86-64");
        }
        let headers = header
            .program_headers(LittleEndian, head)
            .map_err(|_| "its program headers lie outside its first 64 KiB")?;
        let interpreter = headers
            .iter()
            .find(|one| one.p_type(LittleEndian) == PT_INTERP)
            .map(|one| path(one, file))
            .transpose()?;
        let segments = headers
            .iter()
            .filter(|one| one.p_type(LittleEndian) == PT_LOAD && one.p_memsz(LittleEndian) != 0)
            .map(|one| segment(one, file.bytes))
            .collect::<Result<Vec<_>, _>>()?;
        let ascending = segments.windows(2).all(
            |pair| matches!(pair, [one, next] if one.address + one.memory_bytes <= next.address),
        );
        if segments.is_empty() || !ascending {
            return Err("its segments are missing or out of order");
        }
        let offset = header.e_phoff(LittleEndian);
        Ok(Self {
            headers_address: segments
                .iter()
                .find(|one| one.offset <= offset && offset < one.offset + one.file_bytes)
                .map_or(0, |one| one.address + (offset - one.offset)),
            header_count: headers.len() as u64,
            entry: header.e_entry(LittleEndian),
            is_relocatable: kind == ET_DYN,
            interpreter,
            segments,
        })
    }
}

/// The path in a `PT_INTERP` header, which ends with a zero.
fn path(header: &ProgramHeader64<LittleEndian>, file: Attachment) -> Result<Vec<u8>, &'static str> {
    const BAD: &str = "the name of its interpreter lies outside its file";
    let (offset, bytes) = (header.p_offset(LittleEndian), header.p_filesz(LittleEndian));
    let inside = offset
        .checked_add(bytes)
        .is_some_and(|end| end <= file.bytes);
    if !inside || bytes > PATH_MAX as u64 {
        return Err(BAD);
    }
    let mut text = vec![0; bytes as usize];
    program_memory::read(file.view() + offset, &mut text).map_err(|_| BAD)?;
    match text.pop() {
        Some(0) => Ok(text),
        _ => Err(BAD),
    }
}

/// A `PT_LOAD` header.
fn segment(
    header: &ProgramHeader64<LittleEndian>,
    file_bytes: u64,
) -> Result<Segment, &'static str> {
    let segment = Segment {
        offset: header.p_offset(LittleEndian),
        file_bytes: header.p_filesz(LittleEndian),
        address: header.p_vaddr(LittleEndian),
        memory_bytes: header.p_memsz(LittleEndian),
        rights: rights(header.p_flags(LittleEndian)),
    };
    let inside = |first: u64, count: u64, limit: u64| {
        first.checked_add(count).is_some_and(|end| end <= limit)
    };
    let fits = inside(segment.offset, segment.file_bytes, file_bytes)
        && inside(segment.address, segment.memory_bytes, PROGRAM_END)
        && segment.file_bytes <= segment.memory_bytes
        && segment.offset % PAGE_SIZE == segment.address % PAGE_SIZE;
    if fits {
        Ok(segment)
    } else {
        Err("a segment lies outside its file, outside memory, or is not aligned")
    }
}

fn rights(flags: ProgramFlags) -> Rights {
    let mut rights = Rights::READ;
    if flags & PF_W == PF_W {
        rights = rights.union(Rights::WRITE);
    }
    if flags & PF_X == PF_X {
        rights = rights.union(Rights::EXECUTE);
    }
    rights
}
