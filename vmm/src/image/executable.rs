//! ELF executables as loaders see them: segments, entry, notes. Nothing in the file is trusted.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use exo_abi::ABI_VERSION;
use exo_abi::pvh::NOTE_PHYS32_ENTRY;
use exo_abi::version::{NOTE_NAME, NOTE_SECTION, NOTE_TYPE_ABI_VERSION};
use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::ReadCache;
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader, SectionHeader};

use crate::error::Error;

/// Largest file that is taken for a program or kernel.
const FILE_BYTES_MAX: u64 = 256 << 20;
/// Most bytes of notes that are looked at.
const NOTE_BYTES_MAX: u64 = 64 << 10;
/// Most program headers: far more than any linker writes for a static executable.
const PROGRAM_HEADERS_MAX: usize = 64;

/// A `PT_LOAD` segment. Its bytes are inside the file, and its memory does not wrap around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSegment {
    /// Where its bytes start in the file.
    pub file_offset: u64,
    /// How many bytes the file has.
    pub file_size: u64,
    /// Virtual address.
    pub address: u64,
    /// Physical address.
    pub physical: u64,
    /// Bytes in memory; what the file does not have is zero.
    pub memory_size: u64,
    /// It may be written.
    pub write: bool,
    /// It may be executed.
    pub execute: bool,
}

/// A static executable for x86-64 that has been built against this ABI.
#[derive(Debug)]
pub struct Executable {
    /// What it is, for errors: "kernel" or "program".
    pub role: &'static str,
    /// Where it was found.
    pub path: PathBuf,
    /// The file, open.
    pub file: Arc<File>,
    /// First instruction, virtual.
    pub entry: u64,
    /// 32-bit physical entry of a PVH kernel.
    pub pvh_entry: Option<u32>,
    /// What to load, by ascending address.
    pub segments: Vec<LoadSegment>,
}

type Header = FileHeader64<LittleEndian>;
type Cache = ReadCache<File>;

impl Executable {
    /// Reads the headers and notes of the file at `path`.
    pub fn read(role: &'static str, path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::file(role, path, &error, "build the guest with scripts/build");
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let parser = Parser { role, path, length };
        if length > FILE_BYTES_MAX {
            return Err(parser.bad(&format!(
                "has {length} bytes, more than the {FILE_BYTES_MAX} that are allowed; strip it"
            )));
        }
        let cache = ReadCache::new(file.try_clone().map_err(failed)?);
        let header = parser.header(&cache)?;
        let program_headers = parser.program_headers(header, &cache)?;
        let mut segments = Vec::new();
        let mut notes = Notes::default();
        for program_header in program_headers {
            match program_header.p_type(LittleEndian) {
                elf::PT_LOAD => segments.extend(parser.segment(program_header)?),
                elf::PT_NOTE => {
                    let mut iterator = parser.segment_notes(program_header, &cache)?;
                    notes
                        .collect(&mut iterator)
                        .map_err(|()| parser.bad_notes())?;
                }
                elf::PT_INTERP => {
                    return Err(parser.bad("is dynamically linked; link it with -static"));
                }
                _ => {}
            }
        }
        if notes.abi_version.is_none() {
            parser.section_notes(header, &cache, &mut notes)?;
        }
        match notes.abi_version {
            Some(ABI_VERSION) => {}
            Some(version) => {
                return Err(parser.bad(&format!(
                    "is built for ABI version {version}, and this exo speaks {ABI_VERSION}; rebuild both with scripts/build"
                )));
            }
            None => {
                return Err(parser.bad(&format!(
                    "has no ABI note ({NOTE_SECTION}), so it is not built for Exovisor; build it with scripts/build"
                )));
            }
        }
        if segments.is_empty() {
            return Err(parser.bad("has nothing to load; rebuild it with scripts/build"));
        }
        segments.sort_by_key(|segment| segment.address);
        Ok(Self {
            role,
            path: path.to_owned(),
            file: Arc::new(file),
            entry: header.e_entry(LittleEndian),
            pvh_entry: notes.pvh_entry,
            segments,
        })
    }

    /// An error about this file.
    pub fn bad(&self, what: &str) -> Error {
        bad(self.role, &self.path, what)
    }
}

fn bad(role: &str, path: &Path, what: &str) -> Error {
    Error::BadInput(format!("{role} {} {what}", path.display()))
}

/// What errors need to know while a file is being read.
struct Parser<'a> {
    role: &'static str,
    path: &'a Path,
    length: u64,
}

impl Parser<'_> {
    fn bad(&self, what: &str) -> Error {
        bad(self.role, self.path, what)
    }

    fn truncated(&self) -> Error {
        self.bad(&format!(
            "is truncated: its headers speak of more than its {} bytes; build it again with scripts/build",
            self.length
        ))
    }

    fn bad_notes(&self) -> Error {
        self.bad("has malformed ELF notes; build it again with scripts/build")
    }

    fn header<'c>(&self, cache: &'c Cache) -> Result<&'c Header, Error> {
        let not_elf =
            || self.bad("is not an ELF file for x86-64; name a file that scripts/build made");
        let magic: &[u8; 4] = object::ReadRef::read_at(cache, 0).map_err(|()| not_elf())?;
        if *magic != elf::ELFMAG {
            return Err(not_elf());
        }
        if self.length < size_of::<Header>() as u64 {
            return Err(self.truncated());
        }
        let header = Header::parse(cache).map_err(|_| not_elf())?;
        // Linkers write the section table last: a file cut off behind its segments is noticed by it.
        let sections = u64::from(header.e_shnum(LittleEndian))
            * size_of::<SectionHeader64<LittleEndian>>() as u64;
        match header.e_shoff(LittleEndian).checked_add(sections) {
            Some(end) if end <= self.length => {}
            _ => return Err(self.truncated()),
        }
        if header.endian().is_err() || header.e_machine(LittleEndian) != elf::EM_X86_64 {
            return Err(not_elf());
        }
        if header.e_type(LittleEndian) != elf::ET_EXEC {
            return Err(
                self.bad("is not a fixed-address executable; link it with -static and -no-pie")
            );
        }
        Ok(header)
    }

    fn program_headers<'c>(
        &self,
        header: &Header,
        cache: &'c Cache,
    ) -> Result<&'c [ProgramHeader64<LittleEndian>], Error> {
        if usize::from(header.e_phnum(LittleEndian)) > PROGRAM_HEADERS_MAX {
            return Err(self.bad(&format!(
                "has more than {PROGRAM_HEADERS_MAX} program headers; link it anew"
            )));
        }
        header
            .program_headers(LittleEndian, cache)
            .map_err(|_| self.truncated())
    }

    /// The segment, or nothing if it has no memory.
    fn segment(
        &self,
        header: &ProgramHeader64<LittleEndian>,
    ) -> Result<Option<LoadSegment>, Error> {
        let flags = header.p_flags(LittleEndian);
        let segment = LoadSegment {
            file_offset: header.p_offset(LittleEndian),
            file_size: header.p_filesz(LittleEndian),
            address: header.p_vaddr(LittleEndian),
            physical: header.p_paddr(LittleEndian),
            memory_size: header.p_memsz(LittleEndian),
            write: flags.contains(elf::PF_W),
            execute: flags.contains(elf::PF_X),
        };
        if segment.memory_size == 0 {
            return Ok(None);
        }
        match segment.file_offset.checked_add(segment.file_size) {
            Some(end) if end <= self.length => {}
            _ => return Err(self.truncated()),
        }
        if segment.file_size > segment.memory_size
            || segment.address.checked_add(segment.memory_size).is_none()
            || segment.physical.checked_add(segment.memory_size).is_none()
        {
            return Err(self.bad("has a segment with impossible sizes; link it anew"));
        }
        Ok(Some(segment))
    }

    fn segment_notes<'c>(
        &self,
        header: &ProgramHeader64<LittleEndian>,
        cache: &'c Cache,
    ) -> Result<NoteIterator<'c, Header>, Error> {
        if header.p_filesz(LittleEndian) > NOTE_BYTES_MAX {
            return Err(self.bad_notes());
        }
        match header.notes(LittleEndian, cache) {
            Ok(Some(notes)) => Ok(notes),
            _ => Err(self.truncated()),
        }
    }

    /// The note by its section, for linkers that make no `PT_NOTE` of it.
    fn section_notes(
        &self,
        header: &Header,
        cache: &Cache,
        notes: &mut Notes,
    ) -> Result<(), Error> {
        let sections = header
            .sections(LittleEndian, cache)
            .map_err(|_| self.truncated())?;
        let Some((_, section)) = sections.section_by_name(LittleEndian, NOTE_SECTION.as_bytes())
        else {
            return Ok(());
        };
        if section.sh_size(LittleEndian) > NOTE_BYTES_MAX {
            return Err(self.bad_notes());
        }
        match section.notes(LittleEndian, cache) {
            Ok(Some(mut iterator)) => notes.collect(&mut iterator).map_err(|()| self.bad_notes()),
            _ => Err(self.truncated()),
        }
    }
}

/// The notes that mean something to us.
#[derive(Default)]
struct Notes {
    abi_version: Option<u32>,
    pvh_entry: Option<u32>,
}

impl Notes {
    fn collect(&mut self, iterator: &mut NoteIterator<'_, Header>) -> Result<(), ()> {
        while let Some(note) = iterator.next().map_err(|_| ())? {
            let word = note
                .desc()
                .first_chunk::<4>()
                .map(|bytes| u32::from_le_bytes(*bytes));
            let kind = note.n_type(LittleEndian);
            let owner = note.name();
            if owner == NOTE_NAME.strip_suffix(&[0]).unwrap_or(&NOTE_NAME)
                && kind.0 == NOTE_TYPE_ABI_VERSION
            {
                self.abi_version = Some(word.ok_or(())?);
            } else if owner == b"Xen" && kind.0 == NOTE_PHYS32_ENTRY {
                self.pvh_entry = Some(word.ok_or(())?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "executable_test.rs"]
mod tests;
