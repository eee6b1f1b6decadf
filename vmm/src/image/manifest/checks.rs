//! What a manifest must say beyond its syntax: what fits into the machine, names that exist, one owner for each function.

use std::collections::BTreeSet;

use exo_abi::address::{BLOCK_SIZE, PAGE_SIZE};
use exo_abi::bundle::{ENVIRONMENT_FUNCTIONS_MAX, VCPUS_MAX};
use exo_abi::environment::{ENVIRONMENTS_MAX, NAME_MAX};
use exo_abi::function::{FUNCTIONS_MAX, QUEUES_MAX};
use exo_abi::layout::MEMORY_MAX;

use super::{Device, Environment, Function, Manifest};
use crate::image::size::Size;

impl Manifest {
    /// What the syntax alone does not say.
    pub(super) fn check(&self) -> Result<(), String> {
        check_vcpus(self.vcpus)?;
        check_memory(self.memory)?;
        if self.environments.is_empty() {
            return Err("it has no [[environment]]; add at least one with a program".into());
        }
        let made = self
            .environments
            .iter()
            .map(|one| u64::from(one.environments));
        let environments = self.environments.len() as u64 + made.sum::<u64>();
        if environments > ENVIRONMENTS_MAX as u64 {
            return Err(format!(
                "it has {environments} environments, those included that may be made; the kernel takes at most {ENVIRONMENTS_MAX}"
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
        self.extent.map_or(Ok(()), |extent| extent.check())
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
        self.check_ports()?;
        self.check_extents()?;
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
