//! The root file system of a Linux program: a directory, an archive or a disk image of the host, shown and not copied.

mod archive;
mod directory;
mod index;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::attachment::AttachedFiles;
use crate::error::Error;

/// Where a root file system comes from.
#[derive(Debug)]
pub enum Root<'a> {
    /// A directory.
    Directory(&'a Path),
    /// A tar archive.
    Archive(&'a Path, Arc<File>, u64),
    /// An ext2, ext3 or ext4 image, which the personality reads itself.
    Image(Arc<File>, u64),
}

/// Where an attached root file system lies in the attached blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachedRoot {
    /// An index; its offset and bytes.
    Index(u64, u64),
    /// An image; its offset and bytes.
    Image(u64, u64),
}

/// The magic number of the ext file systems, and where it lies (Linux, Documentation/filesystems/ext4/super.rst).
const EXT_MAGIC: ([u8; 2], usize) = ([0x53, 0xef], 1024 + 0x38);
/// The magic of a tar header (POSIX.1-2017, pax, ustar interchange format), of which this is what GNU's and POSIX's share.
const TAR_MAGIC: (&[u8], usize) = (b"ustar", 257);
/// Bytes at the start of a file that tell its kind.
const HEAD_BYTES: usize = 2048;
/// How compressed files begin, and by what they are unpacked.
const COMPRESSED: [(&[u8], &str); 4] = [
    (&[0x1f, 0x8b], "gunzip"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "unxz"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "unzstd"),
    (b"BZh", "bunzip2"),
];

impl<'a> Root<'a> {
    /// Looks at what is at `path`.
    pub fn open(path: &'a Path) -> Result<Self, Error> {
        let failed = |error| Error::file("--root", path, &error, "name an existing one");
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Ok(Self::Directory(path));
        }
        let mut head = [0; HEAD_BYTES];
        let bytes = file.read_at(&mut head, 0).map_err(failed)?;
        let has = |magic: &[u8], at: usize| {
            head.get(at..at + magic.len()) == Some(magic) && at + magic.len() <= bytes
        };
        if has(&EXT_MAGIC.0, EXT_MAGIC.1) {
            return Ok(Self::Image(Arc::new(file), metadata.len()));
        }
        if has(TAR_MAGIC.0, TAR_MAGIC.1) {
            return Ok(Self::Archive(path, Arc::new(file), metadata.len()));
        }
        let advice = COMPRESSED
            .iter()
            .find(|(magic, _)| has(magic, 0))
            .map_or("name one of those".to_owned(), |(_, tool)| {
                format!("it is compressed: unpack it first ({tool})")
            });
        Err(Error::BadInput(format!(
            "--root {} is no directory, tar archive or ext4 image; {advice}",
            path.display()
        )))
    }

    /// Attaches it.
    pub fn attach(self, files: &mut AttachedFiles) -> Result<AttachedRoot, Error> {
        let index = match self {
            Self::Directory(path) => directory::read(path, files)?,
            Self::Archive(path, file, bytes) => archive::read(path, file, bytes, files)?,
            Self::Image(file, bytes) => {
                return Ok(AttachedRoot::Image(files.add_file(file, bytes), bytes));
            }
        };
        let bytes = index.encode();
        let length = bytes.len() as u64;
        Ok(AttachedRoot::Index(files.add_bytes(bytes), length))
    }
}

#[cfg(test)]
mod root_test;
