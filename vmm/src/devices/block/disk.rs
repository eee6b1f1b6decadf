//! Disks: files of the host, or memory with a known pattern.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use exo_abi::virtio::block::SECTOR_SIZE;

use super::engine::create_memory_file;
use crate::error::Error;

/// Alignment, of memory, offset and length, that every file system is content with for O_DIRECT.
const DIRECT_ALIGNMENT: u64 = 4096;
/// Words that the pattern is written by at a time.
const PATTERN_WORDS: usize = 8192;
/// Stack of the thread that writes it.
const FILLING_STACK: usize = 64 << 10;

/// One disk. Several functions may show parts of it.
#[derive(Debug)]
pub struct Disk {
    buffered: File,
    /// The same file, past the host's page cache; absent where the file system does not allow it.
    direct: Option<File>,
    sectors: u64,
    read_only: bool,
    in_memory: bool,
    name: String,
    /// Who writes the pattern of a disk in memory.
    filling: Mutex<Option<JoinHandle<()>>>,
    /// That is done.
    filled: OnceLock<()>,
}

impl Disk {
    /// Opens a file, or a block device, as a disk.
    pub fn open(path: &Path, read_only: bool) -> Result<Self, Error> {
        let open = |flags| {
            OpenOptions::new()
                .read(true)
                .write(!read_only)
                .custom_flags(flags)
                .open(path)
        };
        let mut buffered = open(0).map_err(|error| {
            if error.kind() == ErrorKind::PermissionDenied && !read_only {
                return Error::NotPermitted(format!(
                    "disk {} may not be written by this user; add \",readonly\" or change its permissions (chmod)",
                    path.display()
                ));
            }
            Error::file("disk", path, &error, "name an existing file")
        })?;
        let metadata = buffered
            .metadata()
            .map_err(|error| Error::file("disk", path, &error, "name an existing file"))?;
        if metadata.is_dir() {
            let error = std::io::Error::from(ErrorKind::IsADirectory);
            return Err(Error::file("disk", path, &error, ""));
        }
        let bytes = buffered
            .seek(SeekFrom::End(0))
            .map_err(|error| Error::file("disk", path, &error, "name a file with a size"))?;
        if bytes == 0 {
            return Err(Error::BadInput(format!(
                "disk {} is empty; give it a size (truncate -s 16M)",
                path.display()
            )));
        }
        if bytes % SECTOR_SIZE != 0 {
            return Err(Error::BadInput(format!(
                "disk {} has {bytes} bytes, which is no multiple of {SECTOR_SIZE}; extend it (truncate -s %{SECTOR_SIZE})",
                path.display()
            )));
        }
        Ok(Self {
            buffered,
            direct: open(libc::O_DIRECT).ok(),
            sectors: bytes / SECTOR_SIZE,
            read_only,
            in_memory: false,
            filling: Mutex::new(None),
            filled: OnceLock::from(()),
            name: path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
        })
    }

    /// A disk of `sectors` sectors in memory, in which each little-endian 64-bit word holds its own offset in bytes, so
    /// that every sector is different. A thread fills it while the machine starts.
    pub fn in_memory(sectors: u64) -> Result<Self, Error> {
        let failed = |error| Error::system("creating a disk in memory", error);
        let file: File = create_memory_file(c"exo-disk").map_err(failed)?;
        file.set_len(sectors * SECTOR_SIZE).map_err(failed)?;
        let target = file.try_clone().map_err(failed)?;
        let filling = std::thread::Builder::new()
            .name("pattern".into())
            .stack_size(FILLING_STACK)
            .spawn(move || fill(&target, sectors))
            .map_err(failed)?;
        Ok(Self {
            buffered: file,
            direct: None,
            sectors,
            read_only: false,
            in_memory: true,
            name: "memory".into(),
            filling: Mutex::new(Some(filling)),
            filled: OnceLock::new(),
        })
    }

    /// Sectors.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Nothing may be written.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// There is no file behind it.
    pub fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    /// What VIRTIO_BLK_T_GET_ID tells.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file, through the host's page cache; waits until a disk in memory has its pattern.
    pub fn buffered(&self) -> RawFd {
        self.filled.get_or_init(|| {
            let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(thread) = filling.take() {
                let _ = thread.join();
            }
        });
        self.buffered.as_raw_fd()
    }

    /// The file past the page cache, if it can serve a transfer all of whose addresses, offsets and lengths, or'ed
    /// together, are `alignment`.
    pub fn direct(&self, alignment: u64) -> Option<RawFd> {
        let file = self.direct.as_ref()?;
        alignment
            .is_multiple_of(DIRECT_ALIGNMENT)
            .then(|| file.as_raw_fd())
    }
}

/// Word `number` of the pattern: its own offset in bytes.
pub fn pattern(number: u64) -> u64 {
    number * 8
}

/// Writes the pattern to a disk of `sectors` sectors.
fn fill(file: &File, sectors: u64) {
    let words = sectors * (SECTOR_SIZE / 8);
    for first in (0..words).step_by(PATTERN_WORDS) {
        let last = words.min(first + PATTERN_WORDS as u64);
        let bytes: Vec<u8> = (first..last)
            .flat_map(|word| pattern(word).to_le_bytes())
            .collect();
        if let Err(error) = file.write_all_at(&bytes, first * 8) {
            eprintln!(
                "exo: the disk in memory lacks its pattern: {error}; give a file with --disk"
            );
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn message(result: Result<Disk, Error>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn bad_files_are_refused_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        assert!(message(Disk::open(&path, false)).contains("does not exist"));
        assert!(message(Disk::open(folder.path(), true)).contains("is a directory"));
        File::create(&path).unwrap();
        assert!(message(Disk::open(&path, false)).contains("is empty"));
        File::create(&path).unwrap().write_all(&[1; 513]).unwrap();
        assert!(message(Disk::open(&path, false)).contains("no multiple of 512"));
        File::create(&path).unwrap().write_all(&[1; 1024]).unwrap();
        assert_eq!(Disk::open(&path, false).unwrap().sectors(), 2);
    }

    #[test]
    fn the_memory_disk_has_its_pattern() {
        let disk = Disk::in_memory(300).unwrap();
        let mut word = [0; 8];
        for number in [0, 1, 8191, 8192, 300 * 64 - 1] {
            disk.buffered();
            disk.buffered.read_exact_at(&mut word, number * 8).unwrap();
            assert_eq!(u64::from_le_bytes(word), pattern(number));
        }
        assert!(disk.buffered.read_exact_at(&mut word, 300 * 512).is_err());
    }
}
