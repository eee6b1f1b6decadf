//! The boot module: the bundle's header and records.

use exo_abi::ABI_VERSION;
use exo_abi::address::{PAGE_SHIFT, PAGE_SIZE, align_up};
use exo_abi::bundle::{BUNDLE_MAGIC, BundleHeader, EnvironmentRecord};
use exo_abi::function::FunctionRecord;
use exo_abi::pvh::ModuleEntry;

use super::information::{open, read, refuse};
use crate::hw::memory::Window;
use crate::hw::vcpu::VCPUS_MAX;

/// The boot module.
pub struct Bundle {
    /// Shows the records.
    pub window: Window,
    start: u64,
    /// Bytes of header and records.
    pub size: u64,
    /// The header, checked.
    pub header: BundleHeader,
}

impl Bundle {
    /// Opens a window on the records of the bundle and checks its header.
    pub fn open(module: ModuleEntry) -> Self {
        let start = module.address;
        if !start.is_multiple_of(PAGE_SIZE) {
            refuse(format_args!("the bundle at {start:#x} is not page aligned"));
        }
        let header: BundleHeader = read(&open(start, PAGE_SIZE, "bundle"), start, "bundle header");
        if header.magic != BUNDLE_MAGIC {
            refuse(format_args!(
                "the module is no bundle; make one with exo bundle"
            ));
        }
        if header.abi_version != ABI_VERSION {
            refuse(format_args!(
                "the bundle has ABI version {}, this kernel {ABI_VERSION}",
                header.abi_version
            ));
        }
        let fits = header
            .pages
            .checked_mul(PAGE_SIZE)
            .is_some_and(|size| size <= align_up(module.size, PAGE_SIZE).unwrap_or(0));
        let crowded = header.environments < u64::from(header.environment_count);
        if !fits || crowded || header.vcpus == 0 || header.vcpus as usize > VCPUS_MAX {
            refuse(format_args!(
                "the bundle is cut short, or asks for more than {VCPUS_MAX} vCPUs"
            ));
        }
        let size = Self::functions_at(start, &header) - start
            + u64::from(header.function_count) * size_of::<FunctionRecord>() as u64;
        Self {
            window: open(start, size, "bundle"),
            start,
            size,
            header,
        }
    }

    fn functions_at(start: u64, header: &BundleHeader) -> u64 {
        let environments =
            u64::from(header.environment_count) * size_of::<EnvironmentRecord>() as u64;
        start + size_of::<BundleHeader>() as u64 + environments
    }

    /// The record of environment `number`, counted from 0.
    pub fn environment(&self, number: u64) -> EnvironmentRecord {
        let offset =
            size_of::<BundleHeader>() as u64 + number * size_of::<EnvironmentRecord>() as u64;
        read(&self.window, self.start + offset, "environment record")
    }

    /// The record of function `number`.
    pub fn function(&self, number: u32) -> FunctionRecord {
        let offset = u64::from(number) * size_of::<FunctionRecord>() as u64;
        read(
            &self.window,
            Self::functions_at(self.start, &self.header) + offset,
            "function record",
        )
    }

    /// Frame number of a page of the bundle.
    pub fn frame(&self, page: u32) -> u64 {
        (self.start >> PAGE_SHIFT) + u64::from(page)
    }
}
