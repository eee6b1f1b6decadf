//! The functions that an image asks for, before they are made.

use std::io::{self, Read, Write};
use std::sync::Arc;

use exo_abi::virtio::{DEVICE_BLOCK, DEVICE_CONSOLE};

use super::VirtioDevice;
use super::block::Block;
use super::block::disk::Disk;
use super::block::extent::Extent;
use super::console::{self, Console, WindowSize};
use crate::error::Error;
use crate::memory::GuestMemory;

/// A function that the image asks for.
pub struct FunctionSpecification {
    /// Its name in the image.
    pub name: String,
    /// What it is.
    pub device: DeviceSpecification,
}

/// What a function is.
pub enum DeviceSpecification {
    /// A part of a disk.
    Block {
        /// The disk.
        disk: Arc<Disk>,
        /// Its number.
        number: u32,
        /// First sector and count; the whole disk where this is absent.
        extent: Option<(u64, u64)>,
        /// Refuse writes.
        read_only: bool,
        /// Request queues.
        queues: u32,
    },
    /// A console over standard input and output, and the terminal that they are.
    Console(Arc<WindowSize>),
    /// A console over other streams.
    Streams {
        /// What the guest reads.
        input: Box<dyn Read + Send>,
        /// Where the guest writes.
        output: Box<dyn Write + Send>,
    },
}

impl DeviceSpecification {
    /// Virtio device type.
    pub fn device_type(&self) -> u32 {
        match self {
            Self::Block { .. } => DEVICE_BLOCK,
            Self::Console(_) | Self::Streams { .. } => DEVICE_CONSOLE,
        }
    }

    /// Number of queues.
    pub fn queues(&self) -> u32 {
        match self {
            Self::Block { queues, .. } => *queues,
            Self::Console(_) | Self::Streams { .. } => console::QUEUES,
        }
    }

    /// Number of the disk of which it shows a part, if it does.
    pub fn disk(&self) -> Option<u32> {
        match self {
            Self::Block { number, .. } => Some(*number),
            Self::Console(_) | Self::Streams { .. } => None,
        }
    }

    /// Makes the device of the function `name`.
    pub fn make(self, name: &str, memory: &GuestMemory) -> Result<Arc<dyn VirtioDevice>, Error> {
        let console = |input, output, size| -> Result<Arc<dyn VirtioDevice>, Error> {
            let console = Console::new(input, output, size)
                .map_err(|error| Error::system("making a console", error))?;
            Ok(Arc::new(console))
        };
        match self {
            Self::Block {
                disk,
                number: _,
                extent,
                read_only,
                queues,
            } => {
                let (first, sectors) = extent.unwrap_or((0, disk.sectors()));
                let extent = Extent {
                    first,
                    sectors,
                    writable: !read_only,
                };
                let block = Block::new(disk.clone(), extent, queues as u16, memory.clone());
                let block = block.ok_or_else(|| {
                    Error::BadInput(format!(
                        "function {name} shows {sectors} sectors from {first}, but disk {} has only {}; give it a larger disk, or the function a smaller extent",
                        disk.name(),
                        disk.sectors()
                    ))
                })?;
                Ok(Arc::new(block))
            }
            Self::Console(size) => console(Box::new(io::stdin()), Box::new(io::stdout()), size),
            Self::Streams { input, output } => console(input, output, Arc::default()),
        }
    }
}
