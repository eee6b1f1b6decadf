//! The manifest of an image: which programs run, what each may use, and which devices there are.

mod checks;
mod extents;
mod ports;

use std::path::Path;

use serde::Deserialize;

use super::size::Size;
use super::slice::SliceLength;
use crate::error::Error;

pub use checks::{check_arguments, check_memory, check_vcpus};
pub use extents::{DiskExtent, Extent};
pub use ports::Ports;

/// Largest manifest that is read: one of 1024 environments is far smaller.
pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;

/// An image manifest, as in `images/*.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// One line for `exo images`.
    pub description: String,
    /// vCPUs of the machine.
    #[serde(default = "one")]
    pub vcpus: u32,
    /// Memory of the machine.
    #[serde(default = "default_memory")]
    pub memory: Size,
    /// Length of a time slice.
    #[serde(default = "default_slice")]
    pub slice: SliceLength,
    /// Device functions.
    #[serde(default, rename = "function")]
    pub functions: Vec<Function>,
    /// Environments.
    #[serde(default, rename = "environment")]
    pub environments: Vec<Environment>,
}

/// A device function beside the IOMMU.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Name, by which environments refer to it.
    pub name: String,
    /// What it is.
    pub device: Device,
    /// Which disk it shows: index of the `--disk` options.
    #[serde(default)]
    pub disk: Option<u32>,
    /// Which part of the disk; the whole where this is absent. One of no sectors: nothing, until an extent is bound.
    #[serde(default)]
    pub extent: Option<Extent>,
    /// Refuse writes.
    #[serde(default)]
    pub readonly: bool,
    /// Request queues.
    #[serde(default = "one")]
    pub queues: u32,
}

/// Device classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// virtio-blk.
    Block,
    /// virtio-console.
    Console,
}

/// One environment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Name, for reports.
    pub name: String,
    /// File name of the program.
    pub program: String,
    /// Arguments, where the command line gives none.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Memory to grant beside the program.
    #[serde(default = "default_grant")]
    pub memory: Size,
    /// vCPU; by turns where this is absent.
    #[serde(default)]
    pub vcpu: Option<u32>,
    /// May write the console port.
    #[serde(default)]
    pub console: bool,
    /// I/O ports that it may use, as `"0x3f8-0x3ff"` or `"0x60"`.
    #[serde(default)]
    pub ports: Vec<Ports>,
    /// Parts of disks that it holds, to bind to functions or to give to others.
    #[serde(default)]
    pub extents: Vec<DiskExtent>,
    /// Names of the functions it may bind.
    #[serde(default)]
    pub functions: Vec<String>,
    /// How many environments it may make, that are alive at once.
    #[serde(default)]
    pub environments: u32,
    /// Limits.
    #[serde(default)]
    pub quota: Quota,
}

/// Frames that a program may have beyond what it starts with, where the manifest does not say.
pub const SPARE_FRAMES: u64 = 1024;
/// Page-table frames of an environment, where the manifest does not say.
pub const TABLES: u32 = 64;
/// Capabilities of an environment, where the manifest does not say.
pub const CAPABILITIES: u32 = 32;
/// DMA mappings of an environment, where the manifest does not say.
pub const DMA_MAPPINGS: u32 = 16;

/// Slots of the slice vector that an environment may take, where the manifest does not say.
pub const SLICE_SLOTS: u32 = 0;

/// Limits of an environment. What is absent gets a value that suits most programs.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Most frames; by default the program, the grant and [`SPARE_FRAMES`].
    #[serde(default)]
    pub frames: Option<u32>,
    /// Most page-table frames; by default [`TABLES`].
    #[serde(default)]
    pub tables: Option<u32>,
    /// Most capabilities; by default [`CAPABILITIES`].
    #[serde(default)]
    pub capabilities: Option<u32>,
    /// Most DMA mappings; by default [`DMA_MAPPINGS`].
    #[serde(default)]
    pub dma_mappings: Option<u32>,
    /// Most slots of the slice vector of its vCPU; by default [`SLICE_SLOTS`]. Who has all of them is the vCPU's scheduler.
    #[serde(default)]
    pub slices: Option<u32>,
}

fn one() -> u32 {
    1
}

fn default_memory() -> Size {
    Size(64 << 20)
}

fn default_slice() -> SliceLength {
    SliceLength::DEFAULT
}

fn default_grant() -> Size {
    Size(4 << 20)
}

impl Manifest {
    /// Reads and checks the manifest at `path`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let advice = "`exo images` lists what there is";
        let failed = |error| Error::file("manifest", path, &error, advice);
        let length = std::fs::metadata(path).map_err(failed)?.len();
        if length > MANIFEST_BYTES_MAX {
            return Err(Error::BadInput(format!(
                "manifest {} has {length} bytes, and at most {MANIFEST_BYTES_MAX} make sense; is it really a manifest?",
                path.display()
            )));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            Error::BadInput(format!(
                "manifest {} is not UTF-8 text; name a TOML file",
                path.display()
            ))
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads and checks a manifest from its text; `origin` names it in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Error> {
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(String::new(), |span| {
                let before = text.get(..span.start).unwrap_or(text);
                format!(", line {}", before.matches('\n').count() + 1)
            });
            let message = error.message().replace('\n', ", ");
            Error::BadInput(format!("manifest {origin}{line}: {message}"))
        })?;
        manifest
            .check()
            .map_err(|reason| Error::BadInput(format!("manifest {origin}: {reason}")))?;
        Ok(manifest)
    }

    /// Position of the function with this name.
    pub fn function_index(&self, name: &str) -> Option<usize> {
        self.functions
            .iter()
            .position(|function| function.name == name)
    }
}

#[cfg(test)]
#[path = "manifest_test.rs"]
mod tests;
