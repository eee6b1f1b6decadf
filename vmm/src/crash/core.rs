//! A core file that gdb opens: an ELF file with notes and memory (core(5), elf(5); linux, fs/binfmt_elf.c).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use exo_abi::Rights;
use exo_abi::crash::CrashThread;
use object::elf::{
    ELFDATA2LSB, ELFMAG, EM_X86_64, ET_CORE, EV_CURRENT, FileFlags, FileHeader64, Ident, PF_R,
    PF_W, PF_X, PT_LOAD, PT_NOTE, ProgramFlags, ProgramHeader64, SymbolSection,
};
use object::{LittleEndian as E, U16, U32, U64, pod};

use super::record::{Crash, PAGE, View};

/// Kinds of notes (linux, include/uapi/linux/elf.h).
const NT_PRSTATUS: u32 = 1;
const NT_FPREGSET: u32 = 2;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_SIGINFO: u32 = 0x5349_4749;
/// Pages that are copied at once.
const COPY_PAGES: usize = 256;

/// Writes the core of a crash. Pages that are not mapped become holes.
pub fn write(path: &Path, crash: &Crash, view: &View) -> io::Result<()> {
    let file = File::create(path)?;
    let notes = notes(crash);
    let headers = crash.regions.len() + 1;
    let header_bytes = size_of::<FileHeader64<E>>() + headers * size_of::<ProgramHeader64<E>>();
    let mut offset = (header_bytes + notes.len()) as u64;
    let mut all = vec![ProgramHeader64 {
        p_type: U32::new(E, PT_NOTE),
        p_flags: U32::new(E, ProgramFlags(0)),
        p_offset: U64::new(E, header_bytes as u64),
        p_vaddr: U64::new(E, 0),
        p_paddr: U64::new(E, 0),
        p_filesz: U64::new(E, notes.len() as u64),
        p_memsz: U64::new(E, 0),
        p_align: U64::new(E, 4),
    }];
    offset = offset.next_multiple_of(PAGE);
    let data = offset;
    for region in &crash.regions {
        let bytes = region.end - region.start;
        let flags = [
            (Rights::READ, PF_R.0),
            (Rights::WRITE, PF_W.0),
            (Rights::EXECUTE, PF_X.0),
        ]
        .into_iter()
        .filter(|(right, _)| region.rights & u64::from(right.0) != 0)
        .fold(0, |flags, (_, flag)| flags | flag);
        all.push(ProgramHeader64 {
            p_type: U32::new(E, PT_LOAD),
            p_flags: U32::new(E, ProgramFlags(flags)),
            p_offset: U64::new(E, offset),
            p_vaddr: U64::new(E, region.start),
            p_paddr: U64::new(E, 0),
            p_filesz: U64::new(E, bytes),
            p_memsz: U64::new(E, bytes),
            p_align: U64::new(E, PAGE),
        });
        offset = offset
            .checked_add(bytes)
            .ok_or_else(|| io::Error::other("the regions are too large"))?;
    }
    let mut head = pod::bytes_of(&file_header(headers)).to_vec();
    head.extend(pod::bytes_of_slice(&all));
    head.extend(notes);
    file.write_all_at(&head, 0)?;
    copy_memory(&file, crash, view, data)?;
    file.set_len(offset)
}

/// Copies what is mapped of the regions into the file, from `offset` on.
fn copy_memory(file: &File, crash: &Crash, view: &View, mut offset: u64) -> io::Result<()> {
    let mut page = [0; PAGE as usize];
    let mut run = Vec::with_capacity(COPY_PAGES * page.len());
    for region in &crash.regions {
        let mut address = region.start;
        while address < region.end {
            let at = offset;
            run.clear();
            while address < region.end && run.len() < COPY_PAGES * page.len() {
                let read = view.read(address, &mut page);
                address += PAGE;
                offset += PAGE;
                if !read {
                    break;
                }
                run.extend_from_slice(&page);
            }
            file.write_all_at(&run, at)?;
        }
    }
    Ok(())
}

fn file_header(headers: usize) -> FileHeader64<E> {
    FileHeader64 {
        e_ident: Ident {
            magic: ELFMAG,
            class: object::elf::ELFCLASS64,
            data: ELFDATA2LSB,
            version: EV_CURRENT,
            os_abi: object::elf::ELFOSABI_NONE,
            abi_version: 0,
            padding: [0; 7],
        },
        e_type: U16::new(E, ET_CORE),
        e_machine: U16::new(E, EM_X86_64),
        e_version: U32::new(E, u32::from(EV_CURRENT.0)),
        e_entry: U64::new(E, 0),
        e_phoff: U64::new(E, size_of::<FileHeader64<E>>() as u64),
        e_shoff: U64::new(E, 0),
        e_flags: U32::new(E, FileFlags(0)),
        e_ehsize: U16::new(E, size_of::<FileHeader64<E>>() as u16),
        e_phentsize: U16::new(E, size_of::<ProgramHeader64<E>>() as u16),
        // `CRASH_REGIONS_MAX` is less than PN_XNUM.
        e_phnum: U16::new(E, headers as u16),
        e_shentsize: U16::new(E, 0),
        e_shnum: U16::new(E, 0),
        e_shstrndx: U16::new(E, SymbolSection(0)),
    }
}

/// All notes, in the order of Linux.
fn notes(crash: &Crash) -> Vec<u8> {
    let mut notes = Vec::new();
    for (index, thread) in crash.threads.iter().enumerate() {
        add(&mut notes, NT_PRSTATUS, &status(crash, thread));
        if index == 0 {
            add(&mut notes, NT_PRPSINFO, &process(crash));
            add(&mut notes, NT_SIGINFO, &signal(crash));
            add(&mut notes, NT_AUXV, &crash.auxiliary);
        }
        add(&mut notes, NT_FPREGSET, &thread.floating_point);
    }
    notes
}

/// Adds a note: sizes of name and description, kind, name, description, all in multiples of 4 bytes.
fn add(notes: &mut Vec<u8>, kind: u32, description: &[u8]) {
    const NAME: &[u8] = b"CORE\0\0\0\0";
    for word in [5, description.len() as u32, kind] {
        notes.extend(word.to_le_bytes());
    }
    notes.extend(NAME);
    notes.extend(description);
    notes.resize(notes.len().next_multiple_of(4), 0);
}

/// A structure of fixed size that is filled by offset, as the C structures of Linux are laid out.
struct Fields(Vec<u8>);

impl Fields {
    fn new(bytes: usize) -> Self {
        Self(vec![0; bytes])
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn put_word(&mut self, offset: usize, word: u32) {
        self.put(offset, &word.to_le_bytes());
    }
}

/// `struct elf_prstatus`.
fn status(crash: &Crash, thread: &CrashThread) -> Vec<u8> {
    let mut fields = Fields::new(336);
    fields.put_word(0, crash.record.signal);
    fields.put_word(12, crash.record.signal);
    fields.put_word(32, thread.number as u32);
    fields.put_word(36, crash.record.parent);
    fields.put_word(40, crash.record.process);
    for (index, register) in thread.registers.iter().enumerate() {
        fields.put(112 + 8 * index, &register.to_le_bytes());
    }
    fields.put_word(328, 1); // there is floating-point state
    fields.0
}

/// `struct elf_prpsinfo`.
fn process(crash: &Crash) -> Vec<u8> {
    let mut fields = Fields::new(136);
    fields.put(1, b"R");
    fields.put_word(24, crash.record.process);
    fields.put_word(28, crash.record.parent);
    fields.put_word(32, crash.record.process);
    let path = crash.path.as_bytes();
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    fields.put(40, name.get(..15).unwrap_or(name));
    fields.put(56, path.get(..79).unwrap_or(path));
    fields.0
}

/// `siginfo_t`.
fn signal(crash: &Crash) -> Vec<u8> {
    let mut fields = Fields::new(128);
    fields.put_word(0, crash.record.signal);
    fields.put_word(8, crash.record.code);
    fields.put(16, &crash.record.address.to_le_bytes());
    fields.0
}
