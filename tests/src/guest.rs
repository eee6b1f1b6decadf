//! A private copy of the guest's files, for tests that damage them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use exo_abi::version::{NOTE_NAME, NOTE_TYPE_ABI_VERSION};
use tempfile::TempDir;

use crate::home;

/// A folder as `EXO_GUEST` names it: the kernel, and the programs beside it.
#[derive(Debug)]
pub struct Guest {
    folder: TempDir,
}

impl Guest {
    /// Copies the kernel and these programs.
    pub fn copy(programs: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        // The files are made together with exo.
        home::exo();
        let from = home::home().join("target/guest");
        std::fs::create_dir(folder.path().join("programs")).expect("a folder can be made");
        let copy = |name: &Path| {
            std::fs::copy(from.join(name), folder.path().join(name))
                .unwrap_or_else(|error| panic!("{}: {error}", from.join(name).display()));
        };
        copy(Path::new("exo-kernel"));
        for program in programs {
            copy(&Path::new("programs").join(program));
        }
        Self { folder }
    }

    /// What `EXO_GUEST` is to be.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The kernel's file.
    pub fn kernel(&self) -> PathBuf {
        self.folder.path().join("exo-kernel")
    }

    /// A program's file.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.path().join("programs").join(name)
    }

    /// Writes a manifest beside them.
    pub fn manifest(&self, text: &str) -> OsString {
        let path = self.folder.path().join("test.toml");
        std::fs::write(&path, text).expect("a temporary file can be written");
        path.into()
    }
}

/// Cuts a file down to `bytes`.
pub fn truncate(path: &Path, bytes: u64) {
    resize(path, bytes);
}

/// Makes a file larger, with a hole, so that it takes no room.
pub fn enlarge(path: &Path, bytes: u64) {
    resize(path, bytes);
}

fn resize(path: &Path, bytes: u64) {
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|file| file.set_len(bytes))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Writes another ABI version into the ELF note of a kernel or program.
pub fn set_abi_version(path: &Path, version: u32) {
    let mut bytes = std::fs::read(path).expect("the file can be read");
    let mut note = Vec::new();
    note.extend_from_slice(&(NOTE_NAME.len() as u32).to_le_bytes());
    note.extend_from_slice(&4u32.to_le_bytes());
    note.extend_from_slice(&NOTE_TYPE_ABI_VERSION.to_le_bytes());
    note.extend_from_slice(&NOTE_NAME);
    let position = bytes
        .windows(note.len())
        .position(|window| window == note)
        .unwrap_or_else(|| panic!("{} has no note with the ABI version", path.display()))
        + note.len();
    bytes[position..position + 4].copy_from_slice(&version.to_le_bytes());
    std::fs::write(path, bytes).expect("the file can be written");
}
