//! Disk files for tests: their contents follow from their size, and the host's digest of them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

/// A file on the host that a machine takes for a disk.
#[derive(Debug)]
pub struct Disk {
    file: NamedTempFile,
}

impl Disk {
    /// A disk of `size` bytes, each 8 of them different, so that a misplaced sector changes the digest.
    pub fn with_size(size: usize) -> Self {
        let mut state = size as u64 ^ 0x9e37_79b9_7f4a_7c15;
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            // xorshift64 (Marsaglia 2003)
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(size);
        Self::with_bytes(&bytes)
    }

    /// A disk with these contents.
    pub fn with_bytes(bytes: &[u8]) -> Self {
        let mut file = NamedTempFile::new().expect("a temporary file can be made");
        file.write_all(bytes)
            .expect("a temporary file can be written");
        file.flush().expect("a temporary file can be written");
        Self { file }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What it holds now.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).expect("a temporary file can be read")
    }

    /// SHA-256 of what it holds now, as `sha256sum` writes it.
    pub fn sha256(&self) -> String {
        sha256(&self.bytes())
    }
}

/// SHA-256 as `sha256sum` writes it.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// What a machine without `--disk` has on its disk: 16 MiB, each little-endian 64-bit word its own offset in bytes.
pub fn memory_pattern() -> Vec<u8> {
    (0..16u64 << 20)
        .step_by(8)
        .flat_map(u64::to_le_bytes)
        .collect()
}
