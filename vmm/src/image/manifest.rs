//! The manifest of an image: which programs run, what each may use, and which devices there are.

use std::collections::BTreeSet;
use std::path::Path;

use exo_abi::address::{BLOCK_SIZE, PAGE_SIZE};
use exo_abi::bundle::{ENVIRONMENT_FUNCTIONS_MAX, VCPUS_MAX};
use exo_abi::environment::{ENVIRONMENTS_MAX, NAME_MAX};
use exo_abi::function::{FUNCTIONS_MAX, QUEUES_MAX};
use exo_abi::layout::MEMORY_MAX;
use serde::Deserialize;

use super::size::Size;
use crate::error::Error;

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
    /// Which part of the disk; the whole where this is absent.
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

/// Sectors of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extent {
    /// First sector.
    pub first: u64,
    /// How many.
    pub sectors: u64,
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
    /// Names of the functions it may bind.
    #[serde(default)]
    pub functions: Vec<String>,
    /// Limits.
    #[serde(default)]
    pub quota: Quota,
}

/// Limits of an environment. What is absent gets a value that suits most programs.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Most frames; by default the program, the grant and 1024 more.
    #[serde(default)]
    pub frames: Option<u32>,
    /// Most page-table frames; by default 64.
    #[serde(default)]
    pub tables: Option<u32>,
    /// Most capabilities; by default 32.
    #[serde(default)]
    pub capabilities: Option<u32>,
    /// Most DMA mappings; by default 16.
    #[serde(default)]
    pub dma_mappings: Option<u32>,
}

fn one() -> u32 {
    1
}

fn default_memory() -> Size {
    Size(64 << 20)
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

    /// What the syntax alone does not say.
    fn check(&self) -> Result<(), String> {
        check_vcpus(self.vcpus)?;
        check_memory(self.memory)?;
        if self.environments.is_empty() {
            return Err("it has no [[environment]]; add at least one with a program".into());
        }
        if self.environments.len() > ENVIRONMENTS_MAX {
            return Err(format!(
                "it has {} environments; the kernel takes at most {ENVIRONMENTS_MAX}",
                self.environments.len()
            ));
        }
        // One more is the IOMMU.
        if self.functions.len() >= FUNCTIONS_MAX {
            return Err(format!(
                "it has {} functions; at most {} fit beside the IOMMU",
                self.functions.len(),
                FUNCTIONS_MAX - 1
            ));
        }
        let mut names = BTreeSet::new();
        for function in &self.functions {
            let name = &function.name;
            check_name(name)?;
            if !names.insert(name) {
                return Err(format!("two functions are named `{name}`; rename one"));
            }
            function
                .check()
                .map_err(|reason| format!("function `{name}`: {reason}"))?;
        }
        let mut owned = BTreeSet::new();
        names.clear();
        for environment in &self.environments {
            let name = &environment.name;
            check_name(name)?;
            if !names.insert(name) {
                return Err(format!("two environments are named `{name}`; rename one"));
            }
            environment
                .check(self, &mut owned)
                .map_err(|reason| format!("environment `{name}`: {reason}"))?;
        }
        Ok(())
    }

    /// Position of the function with this name.
    pub fn function_index(&self, name: &str) -> Option<usize> {
        self.functions
            .iter()
            .position(|function| function.name == name)
    }
}

impl Function {
    fn check(&self) -> Result<(), String> {
        if self.queues == 0 || self.queues > QUEUES_MAX {
            return Err(format!(
                "queues = {}; it must be 1 to {QUEUES_MAX}",
                self.queues
            ));
        }
        if self.device == Device::Console
            && (self.disk.is_some() || self.extent.is_some() || self.readonly)
        {
            return Err("disk, extent and readonly are for device = \"block\" only".into());
        }
        if let Some(extent) = self.extent
            && (extent.sectors == 0 || extent.first.checked_add(extent.sectors).is_none())
        {
            return Err("extent is empty or beyond any disk; give first and sectors".into());
        }
        Ok(())
    }
}

impl Environment {
    /// `owned` collects the functions that some environment has.
    fn check<'a>(
        &'a self,
        manifest: &Manifest,
        owned: &mut BTreeSet<&'a str>,
    ) -> Result<(), String> {
        if self.program.is_empty() || self.program.contains(['/', '\0']) {
            return Err(format!(
                "program = {:?} must be the bare name of a file in target/guest/programs",
                self.program
            ));
        }
        check_arguments(&self.arguments)?;
        if self.memory.0 == 0
            || !self.memory.0.is_multiple_of(BLOCK_SIZE)
            || self.memory.0 > MEMORY_MAX
        {
            return Err(format!(
                "memory = {}; it must be a multiple of 2 MiB, at least 2 MiB",
                self.memory
            ));
        }
        if let Some(vcpu) = self.vcpu
            && vcpu >= manifest.vcpus
        {
            return Err(format!(
                "vcpu = {vcpu}, but the image has vcpus = {}, numbered from 0",
                manifest.vcpus
            ));
        }
        if self.functions.len() > ENVIRONMENT_FUNCTIONS_MAX {
            return Err(format!(
                "it names more than {ENVIRONMENT_FUNCTIONS_MAX} functions"
            ));
        }
        for function in &self.functions {
            if manifest.function_index(function).is_none() {
                return Err(format!(
                    "there is no [[function]] named `{function}`; add it"
                ));
            }
            if !owned.insert(function) {
                return Err(format!(
                    "function `{function}` is given out twice; a function has one owner, so add another [[function]]"
                ));
            }
        }
        Ok(())
    }
}

/// Names go into fixed fields and onto terminals.
fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(format!(
            "name {name:?} must have 1 to {NAME_MAX} bytes, none a control character"
        ));
    }
    Ok(())
}

/// Arguments end with a zero byte each, and have to fit some pages.
pub fn check_arguments(arguments: &[String]) -> Result<(), String> {
    let bytes: usize = arguments.iter().map(|argument| argument.len() + 1).sum();
    if arguments.iter().any(|argument| argument.contains('\0')) {
        return Err("an argument contains a zero byte".into());
    }
    if bytes as u64 > 16 * PAGE_SIZE {
        return Err(format!(
            "the arguments have {bytes} bytes; at most {} fit",
            16 * PAGE_SIZE
        ));
    }
    Ok(())
}

/// Whether a machine may have so many vCPUs.
pub fn check_vcpus(vcpus: u32) -> Result<(), String> {
    if vcpus == 0 || vcpus as usize > VCPUS_MAX {
        return Err(format!("vcpus = {vcpus}; it must be 1 to {VCPUS_MAX}"));
    }
    Ok(())
}

/// Whether a machine may have so much memory.
pub fn check_memory(memory: Size) -> Result<(), String> {
    if memory.0 == 0 || !memory.0.is_multiple_of(BLOCK_SIZE) || memory.0 > MEMORY_MAX - (1 << 30) {
        return Err(format!(
            "memory = {memory}; it must be a multiple of 2 MiB, below 255 GiB"
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "manifest_test.rs"]
mod tests;
