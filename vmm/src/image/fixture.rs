//! Small ELF files for tests, written by hand so that every field can be wrong.

use exo_abi::ABI_VERSION;
use exo_abi::pvh::NOTE_PHYS32_ENTRY;
use exo_abi::version::NOTE_TYPE_ABI_VERSION;

/// A segment to be.
#[derive(Clone)]
pub struct Part {
    /// Virtual address.
    pub address: u64,
    /// Physical address.
    pub physical: u64,
    /// `p_flags`.
    pub flags: u32,
    /// Bytes in the file.
    pub bytes: Vec<u8>,
    /// Bytes in memory.
    pub memory_size: u64,
}

/// An ELF file to be.
#[derive(Clone)]
pub struct Elf {
    /// `e_type`.
    pub kind: u16,
    /// `e_machine`.
    pub machine: u16,
    /// `e_entry`.
    pub entry: u64,
    /// What the ABI note says, if there is one.
    pub abi_version: Option<u32>,
    /// What the PVH note says, if there is one.
    pub pvh_entry: Option<u32>,
    /// Has a `PT_INTERP`.
    pub interpreter: bool,
    /// `PT_LOAD` segments.
    pub parts: Vec<Part>,
}

/// `PF_R`.
pub const READ: u32 = 4;
/// `PF_W`.
pub const WRITE: u32 = 2;
/// `PF_X`.
pub const EXECUTE: u32 = 1;

impl Elf {
    /// A program with one page of code at 4 MiB.
    pub fn program() -> Self {
        Self {
            kind: 2,
            machine: 62,
            entry: 0x40_0000,
            abi_version: Some(ABI_VERSION),
            pvh_entry: None,
            interpreter: false,
            parts: vec![Part {
                address: 0x40_0000,
                physical: 0x40_0000,
                flags: READ | EXECUTE,
                bytes: vec![0x0f, 0x0b],
                memory_size: 2,
            }],
        }
    }

    /// A kernel with this 32-bit code at 1 MiB.
    pub fn kernel(code: &[u8]) -> Self {
        let mut elf = Self::program();
        elf.pvh_entry = Some(0x10_0000);
        elf.parts = vec![Part {
            address: 0xffff_ffff_8010_0000,
            physical: 0x10_0000,
            flags: READ | EXECUTE,
            bytes: code.to_vec(),
            memory_size: code.len() as u64,
        }];
        elf
    }

    fn notes(&self) -> Vec<u8> {
        let mut notes = Vec::new();
        let mut note = |name: &[u8; 4], kind: u32, value: u32| {
            for word in [4, 4, kind] {
                notes.extend_from_slice(&word.to_le_bytes());
            }
            notes.extend_from_slice(name);
            notes.extend_from_slice(&value.to_le_bytes());
        };
        if let Some(version) = self.abi_version {
            note(b"Exo\0", NOTE_TYPE_ABI_VERSION, version);
        }
        if let Some(entry) = self.pvh_entry {
            note(b"Xen\0", NOTE_PHYS32_ENTRY, entry);
        }
        notes
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let notes = self.notes();
        let mut headers: Vec<(u32, Part)> =
            self.parts.iter().map(|part| (1, part.clone())).collect();
        let plain = |bytes: Vec<u8>| Part {
            address: 0,
            physical: 0,
            flags: READ,
            memory_size: bytes.len() as u64,
            bytes,
        };
        if !notes.is_empty() {
            headers.push((4, plain(notes)));
        }
        if self.interpreter {
            headers.push((3, plain(b"/lib/ld.so\0".to_vec())));
        }
        let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        file.extend_from_slice(&self.kind.to_le_bytes());
        file.extend_from_slice(&self.machine.to_le_bytes());
        file.extend_from_slice(&1u32.to_le_bytes());
        for word in [self.entry, 64, 0] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(&0u32.to_le_bytes());
        for half in [64, 56, headers.len() as u16, 64, 0, 0] {
            file.extend_from_slice(&half.to_le_bytes());
        }
        let mut offset = 64 + 56 * headers.len() as u64;
        for (kind, part) in &headers {
            file.extend_from_slice(&kind.to_le_bytes());
            file.extend_from_slice(&part.flags.to_le_bytes());
            let size = part.bytes.len() as u64;
            for word in [
                offset,
                part.address,
                part.physical,
                size,
                part.memory_size,
                4,
            ] {
                file.extend_from_slice(&word.to_le_bytes());
            }
            offset += size.next_multiple_of(8);
        }
        for (_, part) in &headers {
            file.extend_from_slice(&part.bytes);
            file.resize(file.len().next_multiple_of(8), 0);
        }
        file
    }
}
