//! Disks: files that were given, or one in memory with a known pattern.

#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::fd::FromRawFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::error::Error;

/// Bytes of a sector, the unit of virtio-blk (virtio 1.2, section 5.2.4).
pub const SECTOR_BYTES: u64 = 512;
/// Bytes of the disk in memory.
pub const MEMORY_DISK_BYTES: u64 = 16 << 20;
/// Bytes of the pattern that are written at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A disk.
#[derive(Debug)]
pub struct Disk {
    file: File,
    filling: Mutex<Option<JoinHandle<()>>>,
    /// Its size.
    pub sectors: u64,
    /// Writes are refused.
    pub readonly: bool,
}

impl Disk {
    /// Opens a file or block device.
    pub fn open(path: &Path, readonly: bool) -> Result<Self, Error> {
        let failed = |error| match error {
            error if io::Error::kind(&error) == io::ErrorKind::PermissionDenied && !readonly => {
                Error::NotPermitted(format!(
                    "disk {0} may not be written by this user; change its permissions (chmod) or give {0},readonly",
                    path.display()
                ))
            }
            error => Error::file(
                "disk",
                path,
                &error,
                "make one, as with truncate --size 16M FILE",
            ),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(!readonly)
            .open(path)
            .map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(Error::BadInput(format!(
                "disk {} is neither a file nor a block device; name one that is",
                path.display()
            )));
        }
        // The length of a block device is not in its metadata.
        let bytes = file.seek(SeekFrom::End(0)).map_err(failed)?;
        if bytes == 0 {
            return Err(Error::BadInput(format!(
                "disk {} is empty; give it a size, as with truncate --size 16M {0}",
                path.display()
            )));
        }
        if !bytes.is_multiple_of(SECTOR_BYTES) {
            return Err(Error::BadInput(format!(
                "disk {} has {bytes} bytes, which is no multiple of {SECTOR_BYTES}; extend it with truncate --size {} {0}",
                path.display(),
                bytes.next_multiple_of(SECTOR_BYTES)
            )));
        }
        Ok(Self {
            file,
            filling: Mutex::new(None),
            sectors: bytes / SECTOR_BYTES,
            readonly,
        })
    }

    /// A disk of [`MEMORY_DISK_BYTES`] in memory. Each little-endian 64-bit word in it holds its own offset in bytes.
    ///
    /// A thread writes the pattern while the machine starts; [`Disk::file`] waits for it.
    pub fn in_memory() -> Result<Self, Error> {
        let failed = |error| Error::system("making a disk in memory (memfd_create)", error);
        let file = memory_file().map_err(failed)?;
        file.set_len(MEMORY_DISK_BYTES).map_err(failed)?;
        let writer = file.try_clone().map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name("pattern".into())
            .stack_size(CHUNK_BYTES)
            .spawn(move || {
                // Can only fail for lack of memory; then the rest reads as zero.
                if let Err(error) = write_pattern(&writer) {
                    eprintln!("exo: the disk in memory has no pattern: {error}");
                }
            })
            .map_err(failed)?;
        Ok(Self {
            file,
            filling: Mutex::new(Some(thread)),
            sectors: MEMORY_DISK_BYTES / SECTOR_BYTES,
            readonly: false,
        })
    }

    /// The file, with all that it should contain. May wait, so it is for whoever serves the first request, not for who
    /// makes the device.
    pub fn file(&self) -> &File {
        let mut filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = filling.take() {
            let _ = thread.join();
        }
        &self.file
    }
}

/// A file without a name that lives in memory.
fn memory_file() -> io::Result<File> {
    // SAFETY: the name is a zero-terminated string that lives for ever; the kernel copies it.
    let descriptor = unsafe { libc::memfd_create(c"exo-disk".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor has just been made, and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// Writes the pattern.
fn write_pattern(file: &File) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    for start in (0..MEMORY_DISK_BYTES).step_by(CHUNK_BYTES) {
        for (offset, word) in (start..).step_by(8).zip(chunk.chunks_exact_mut(8)) {
            word.copy_from_slice(&offset.to_le_bytes());
        }
        file.write_all_at(&chunk, start)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_in_memory_holds_its_own_offsets() {
        let disk = Disk::in_memory().unwrap();
        assert_eq!(disk.sectors, 32768);
        for offset in [0, 8, 0xfff8, 0x1_0000, MEMORY_DISK_BYTES - 8] {
            let mut word = [0; 8];
            disk.file().read_exact_at(&mut word, offset).unwrap();
            assert_eq!(u64::from_le_bytes(word), offset);
        }
    }

    #[test]
    fn files_that_are_no_disks_are_refused_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let message = |path: &Path| Disk::open(path, false).unwrap_err().to_string();
        assert!(
            message(&path).contains("does not exist; make one"),
            "{}",
            message(&path)
        );
        File::create(&path).unwrap();
        assert!(message(&path).contains("is empty; give it a size"));
        File::create(&path).unwrap().set_len(1000).unwrap();
        assert!(message(&path).contains(
            "1000 bytes, which is no multiple of 512; extend it with truncate --size 1024"
        ));
        assert!(message(folder.path()).contains("is a directory"));
        assert!(message(Path::new("/dev/null")).contains("neither a file nor a block device"));
        File::create(&path).unwrap().set_len(1024).unwrap();
        assert_eq!(Disk::open(&path, true).unwrap().sectors, 2);
    }
}
