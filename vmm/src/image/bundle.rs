//! The bundle, with all its pages assigned: to be written to guest memory or to a file.

use std::fs::File;
use std::io;
use std::sync::Arc;

use exo_abi::address::PAGE_SIZE;
use exo_abi::bundle::{BundleHeader, EnvironmentRecord};
use exo_abi::function::FunctionRecord;
use exo_abi::layout::Sizes;
use vm_memory::ByteValued;

use super::attachment::AttachedFiles;
use crate::memory::Plain;

/// A bundle whose pages are all assigned, but not written yet.
#[derive(Debug)]
pub struct Bundle {
    /// The header; features and clock are for the machine to fill in.
    pub header: BundleHeader,
    /// One record per environment.
    pub environments: Vec<EnvironmentRecord>,
    /// One record per function; the devices fill them in.
    pub functions: Vec<FunctionRecord>,
    /// Files that the first environment finds in memory; not a part of the bundle.
    pub files: AttachedFiles,
    pub(super) pieces: Vec<Piece>,
}

/// Bytes of the bundle.
#[derive(Debug)]
pub(super) struct Piece {
    /// Where they go.
    pub offset: u64,
    /// Where they come from.
    pub source: Source,
}

/// Bytes of a program, or bytes made here.
#[derive(Debug)]
pub(super) enum Source {
    File {
        file: Arc<File>,
        from: u64,
        length: u64,
    },
    Bytes(Vec<u8>),
}

/// Where a bundle can be written to. All that is not written there must read as zero.
pub trait BundleTarget {
    /// Writes `bytes` at `offset`.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Writes `length` bytes of `file`, from its byte `from` on, at `offset`.
    fn copy(&mut self, offset: u64, file: &File, from: u64, length: u64) -> io::Result<()>;
}

impl Bundle {
    /// What the kernel's memory layout depends on.
    pub fn sizes(&self, kernel_end: u64, memory_end: u64) -> Sizes {
        Sizes {
            kernel_end,
            memory_end,
            environments: self.header.environments,
            tables: self.header.tables,
            capabilities: self.header.capabilities,
            functions: self.functions.len() as u64,
            vcpus: u64::from(self.header.vcpus),
        }
    }

    /// Bytes of the whole bundle.
    pub fn bytes(&self) -> u64 {
        self.header.pages * PAGE_SIZE
    }

    /// Blocks of memory that the environments are granted.
    pub fn grant_blocks(&self) -> u64 {
        self.environments
            .iter()
            .map(|record| u64::from(record.grant_blocks))
            .sum()
    }

    /// Writes the bundle.
    pub fn write(&self, target: &mut dyn BundleTarget) -> io::Result<()> {
        let mut records = Plain(self.header).as_slice().to_vec();
        for record in &self.environments {
            records.extend_from_slice(Plain(*record).as_slice());
        }
        for record in &self.functions {
            records.extend_from_slice(Plain(*record).as_slice());
        }
        target.write(0, &records)?;
        for piece in &self.pieces {
            match &piece.source {
                Source::Bytes(bytes) => target.write(piece.offset, bytes)?,
                Source::File { file, from, length } => {
                    target.copy(piece.offset, file, *from, *length)?
                }
            }
        }
        Ok(())
    }
}
