//! A file that an environment finds in its memory, page aligned, beside its program; its copy of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::error::Error;

/// Largest file that is attached: it is in the bundle as a whole.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// An open file to attach.
#[derive(Debug)]
pub struct Attachment {
    /// The file.
    pub file: Arc<File>,
    /// Its size.
    pub bytes: u64,
}

impl Attachment {
    /// The Linux executable at `path`; `None` where the file is no ELF file, or there is none.
    pub fn executable(path: &Path) -> Result<Option<Self>, Error> {
        let Ok(mut file) = File::open(path) else {
            return Ok(None);
        };
        let mut magic = [0; 4];
        if file.read_exact(&mut magic).is_err() || magic != *b"\x7fELF" {
            return Ok(None);
        }
        let failed = |error| Error::file("program", path, &error, "name another");
        let bytes = file.metadata().map_err(failed)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(Error::BadInput(format!(
                "program {} has {bytes} bytes, more than the {FILE_BYTES_MAX} that fit; strip it",
                path.display()
            )));
        }
        Ok(Some(Self {
            file: Arc::new(file),
            bytes,
        }))
    }

    /// What tells the program where the file is, the first argument: address, bytes, and which page of the environment's part of
    /// the bundle is its first.
    pub fn argument(&self, address: u64, page: u32) -> String {
        format!("--attachment={address:#x},{},{page}", self.bytes)
    }
}
