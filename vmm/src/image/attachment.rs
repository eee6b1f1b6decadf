//! Files that an environment finds in its memory: mapped behind all other memory of the machine, and copied by nobody.
//!
//! What the guest writes there stays in its memory: the mappings are private (mmap(2)).

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use exo_abi::address::{BLOCK_SIZE, DEVICE_HOLE, DEVICE_HOLE_END, PAGE_SIZE, pages_for};
use exo_abi::layout::memory_end;
use vm_memory::{Bytes, GuestAddress};

use crate::error::Error;
use crate::memory::{self, GuestMemory};

/// Contents of some pages.
#[derive(Debug)]
enum Source {
    /// An open file.
    Open(Arc<File>),
    /// A file that is opened when it is mapped: there may be more of them than can be open at once.
    Named(PathBuf),
    /// Bytes made here.
    Bytes(Vec<u8>),
}

/// A run of pages.
#[derive(Debug)]
struct Piece {
    offset: u64,
    bytes: u64,
    source: Source,
}

/// Files in blocks of memory of their own.
#[derive(Debug, Default)]
pub struct AttachedFiles {
    /// Bytes of the memory before them.
    memory: u64,
    pieces: Vec<Piece>,
    end: u64,
}

impl AttachedFiles {
    /// None yet, to lie behind `memory` bytes of other memory.
    pub fn behind(memory: u64) -> Self {
        Self {
            memory,
            ..Self::default()
        }
    }

    /// Adds a file; where it lies, from [`Self::start`] on.
    pub fn add_file(&mut self, file: Arc<File>, bytes: u64) -> u64 {
        self.add(bytes, Source::Open(file))
    }

    /// Adds a file that is to be opened later.
    pub fn add_path(&mut self, path: PathBuf, bytes: u64) -> u64 {
        self.add(bytes, Source::Named(path))
    }

    /// Adds bytes.
    pub fn add_bytes(&mut self, bytes: Vec<u8>) -> u64 {
        self.add(bytes.len() as u64, Source::Bytes(bytes))
    }

    fn add(&mut self, bytes: u64, source: Source) -> u64 {
        let offset = self.end;
        self.end = offset.saturating_add(pages_for(bytes).saturating_mul(PAGE_SIZE));
        self.pieces.push(Piece {
            offset,
            bytes,
            source,
        });
        offset
    }

    /// Blocks that they take.
    pub fn blocks(&self) -> u64 {
        self.end.div_ceil(BLOCK_SIZE)
    }

    /// Guest-physical address of the first: behind the other memory, and on one side of the device hole.
    pub fn start(&self) -> u64 {
        let start = memory_end(self.memory);
        let length = self.blocks().saturating_mul(BLOCK_SIZE);
        match start <= DEVICE_HOLE && start.saturating_add(length) > DEVICE_HOLE {
            true => DEVICE_HOLE_END,
            false => start,
        }
    }

    /// The guest-physical addresses of all.
    pub fn range(&self) -> Range<u64> {
        let start = self.start();
        start..start.saturating_add(self.blocks().saturating_mul(BLOCK_SIZE))
    }

    /// Number of the first block.
    pub fn first_block(&self) -> u64 {
        self.start() / BLOCK_SIZE
    }

    /// Bytes of all memory of the machine, these blocks included.
    pub fn memory(&self) -> u64 {
        if self.end == 0 {
            return self.memory;
        }
        let end = self.range().end;
        if end <= DEVICE_HOLE {
            end
        } else {
            end - (DEVICE_HOLE_END - DEVICE_HOLE)
        }
    }

    /// Puts everything into memory.
    pub fn load(&self, memory: &GuestMemory) -> Result<(), Error> {
        for piece in &self.pieces {
            let address = GuestAddress(self.start().saturating_add(piece.offset));
            let map = |file: &File| memory::map_file(memory, address, file.as_fd(), piece.bytes);
            match &piece.source {
                Source::Bytes(bytes) => memory
                    .write_slice(bytes, address)
                    .map_err(|error| Error::System(format!("attached bytes: {error}")))?,
                Source::Open(file) => {
                    map(file).map_err(|error| Error::system("mapping the program", error))?;
                }
                Source::Named(path) => File::options()
                    .read(true)
                    .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                    .open(path)
                    .and_then(|file| map(&file))
                    .map_err(|error| {
                        Error::file(
                            "file of --root",
                            path,
                            &error,
                            "it was there a moment ago: try again",
                        )
                    })?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_lie_behind_memory_on_one_side_of_the_device_hole() {
        for (memory, bytes, start, all) in [
            (64 << 20, 1, 64 << 20, 66 << 20),
            (64 << 20, BLOCK_SIZE + 1, 64 << 20, 68 << 20),
            (
                DEVICE_HOLE - BLOCK_SIZE,
                1,
                DEVICE_HOLE - BLOCK_SIZE,
                DEVICE_HOLE,
            ),
            (
                DEVICE_HOLE - BLOCK_SIZE,
                BLOCK_SIZE + 1,
                DEVICE_HOLE_END,
                DEVICE_HOLE + 2 * BLOCK_SIZE,
            ),
            (DEVICE_HOLE, 1, DEVICE_HOLE_END, DEVICE_HOLE + BLOCK_SIZE),
            (4 << 30, 1, 5 << 30, (4 << 30) + BLOCK_SIZE),
        ] {
            let mut files = AttachedFiles::behind(memory);
            assert_eq!(files.memory(), memory);
            assert_eq!(files.add_bytes(vec![1; bytes as usize]), 0);
            assert_eq!((files.start(), files.memory()), (start, all));
        }
    }
}
