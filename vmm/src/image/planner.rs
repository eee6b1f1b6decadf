//! Plans a bundle: which page of it each segment of each program gets.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use exo_abi::ABI_VERSION;
use exo_abi::address::{BLOCK_FRAMES, BLOCK_SIZE, PAGE_SIZE, PROGRAM_BASE, PROGRAM_END, pages_for};
use exo_abi::bundle::{
    BUNDLE_MAGIC, BundleHeader, ENVIRONMENT_EXTENTS_MAX, ENVIRONMENT_PORTS_MAX, EnvironmentRecord,
    ExtentGrant, SEGMENTS_MAX, Segment,
};
use exo_abi::capability::Rights;
use exo_abi::environment::{KEPT_TABLES, NAME_MAX};
use exo_abi::function::FunctionRecord;
use exo_abi::layout::MEMORY_MAX;
use exo_abi::port::PortRange;

use super::attachment::AttachedFiles;
use super::bundle::{Bundle, Piece, Source};
use super::executable::Executable;
use super::manifest::{
    CAPABILITIES, DMA_MAPPINGS, Environment, Manifest, SLICE_SLOTS, SPARE_FRAMES, TABLES,
    check_arguments,
};
use super::slice::SliceLength;
use crate::error::Error;

/// What a bundle is made from, beside the manifest.
pub struct Choices<'a> {
    /// Names the manifest in errors.
    pub origin: &'a str,
    /// Folder with the programs.
    pub programs: &'a Path,
    /// Arguments of the first environment, in place of the manifest's; none given: the manifest's.
    pub arguments: &'a [String],
    /// vCPUs of the machine.
    pub vcpus: u32,
    /// Length of a time slice.
    pub slice: SliceLength,
    /// Whether there are device functions; without, no environment is given any, nor extents.
    pub functions: bool,
    /// Files that the first environment finds in its memory.
    pub files: AttachedFiles,
    /// Sectors of each disk.
    pub disks: &'a [u64],
}

impl Bundle {
    /// Reads the programs and assigns pages to them.
    pub fn plan(manifest: &Manifest, choices: Choices<'_>) -> Result<Self, Error> {
        let functions = match (choices.functions, manifest.functions.len()) {
            (false, _) | (_, 0) => 0,
            // Function 0 is the IOMMU.
            (true, count) => count + 1,
        };
        let records = size_of::<BundleHeader>()
            + size_of::<EnvironmentRecord>() * manifest.environments.len()
            + size_of::<FunctionRecord>() * functions;
        let mut planner = Planner {
            manifest,
            choices: &choices,
            programs: BTreeMap::new(),
            next_page: pages_for(records as u64),
            pieces: Vec::new(),
        };
        let mut environments = Vec::new();
        for (index, environment) in manifest.environments.iter().enumerate() {
            environments.push(planner.environment(index, environment)?);
        }
        let sum = |part: fn(&EnvironmentRecord) -> u32| {
            environments
                .iter()
                .map(|record| u64::from(part(record)))
                .sum()
        };
        Ok(Self {
            header: BundleHeader {
                magic: BUNDLE_MAGIC,
                abi_version: ABI_VERSION,
                environment_count: environments.len() as u32,
                function_count: functions as u32,
                vcpus: choices.vcpus,
                features: 0,
                tsc_khz: 0,
                pages: planner.next_page,
                tables: sum(|record| record.tables_quota)
                    + sum(|record| record.environments) * u64::from(KEPT_TABLES),
                capabilities: sum(|record| record.capabilities_quota),
                slice: choices.slice.0,
                environments: environments.len() as u64 + sum(|record| record.environments),
            },
            functions: vec![FunctionRecord::default(); functions],
            pieces: planner.pieces,
            environments,
            files: choices.files,
        })
    }
}

/// State while pages are assigned.
struct Planner<'a> {
    manifest: &'a Manifest,
    choices: &'a Choices<'a>,
    programs: BTreeMap<&'a str, Arc<Executable>>,
    next_page: u64,
    pieces: Vec<Piece>,
}

impl<'a> Planner<'a> {
    fn bad(&self, environment: &Environment, what: &str) -> Error {
        Error::BadInput(format!(
            "manifest {}: environment `{}`: {what}",
            self.choices.origin, environment.name
        ))
    }

    fn environment(
        &mut self,
        index: usize,
        environment: &'a Environment,
    ) -> Result<EnvironmentRecord, Error> {
        let program = self.program(&environment.program)?;
        let mut record = EnvironmentRecord {
            name: padded(&environment.name),
            entry: program.entry,
            segments: [Segment::default(); SEGMENTS_MAX],
            first_page: self.page_number(&program)?,
            pages: 0,
            grant_blocks: (environment.memory.0 / BLOCK_SIZE) as u32,
            vcpu: environment
                .vcpu
                .unwrap_or(index as u32 % self.choices.vcpus),
            arguments: 0,
            argument_count: 0,
            frames_quota: 0,
            tables_quota: environment.quota.tables.unwrap_or(TABLES),
            capabilities_quota: environment.quota.capabilities.unwrap_or(CAPABILITIES),
            dma_mappings_quota: environment.quota.dma_mappings.unwrap_or(DMA_MAPPINGS),
            slices_quota: environment.quota.slices.unwrap_or(SLICE_SLOTS),
            environments: environment.environments,
            function_count: 0,
            ports: [PortRange::default(); ENVIRONMENT_PORTS_MAX],
            extents: [ExtentGrant::default(); ENVIRONMENT_EXTENTS_MAX],
            functions: [0; exo_abi::bundle::ENVIRONMENT_FUNCTIONS_MAX],
            attached_first: 0,
            attached_blocks: 0,
        };
        if record.vcpu >= self.choices.vcpus {
            return Err(Error::Usage(format!(
                "environment `{}` runs on vCPU {}, but there are only {}; give --vcpus {} or more",
                environment.name,
                record.vcpu,
                self.choices.vcpus,
                record.vcpu + 1
            )));
        }
        let mut slots = record.segments.iter_mut();
        let mut end = PROGRAM_BASE;
        self.segments(&program, &mut slots, &mut end)?;
        let given = self.choices.arguments;
        let arguments = if index == 0 && !given.is_empty() {
            given
        } else {
            &environment.arguments
        };
        let files = &self.choices.files;
        if index == 0 && files.blocks() != 0 {
            let (first, blocks) = (files.first_block(), files.blocks());
            // Both are below `MEMORY_MAX`, or the machine is refused.
            record.attached_first = u32::try_from(first).unwrap_or(u32::MAX);
            record.attached_blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
        }
        if !arguments.is_empty() {
            // One page of distance, so that a program that runs over its end faults.
            record.arguments = end + PAGE_SIZE;
            record.argument_count = arguments.len() as u32;
            *slots.next().ok_or_else(|| too_many_segments(&program))? =
                self.arguments(&program, record.arguments, arguments)?;
        }
        record.pages = self.page_number(&program)? - record.first_page;
        for (slot, ports) in record.ports.iter_mut().zip(environment.port_ranges()) {
            *slot = ports;
        }
        if self.choices.functions {
            for (slot, name) in record.functions.iter_mut().zip(&environment.functions) {
                // The manifest is checked: the name exists. Function 0 is the IOMMU.
                *slot = self
                    .manifest
                    .function_index(name)
                    .map_or(0, |index| index as u32 + 1);
                record.function_count += 1;
            }
            for (slot, extent) in record.extents.iter_mut().zip(&environment.extents) {
                let sectors = self.choices.disks.get(extent.disk as usize).copied();
                let grant = sectors.and_then(|sectors| extent.on_disk(sectors));
                *slot = grant.ok_or_else(|| {
                    self.bad(
                        environment,
                        &format!(
                            "disk {} does not have the extent that it names; give a larger one by --disk, or make the extent smaller",
                            extent.disk
                        ),
                    )
                })?;
            }
        }
        self.check_quotas(environment, &mut record)?;
        Ok(record)
    }

    /// The pages with the arguments, to be mapped at `address`.
    fn arguments(
        &mut self,
        program: &Executable,
        address: u64,
        arguments: &[String],
    ) -> Result<Segment, Error> {
        check_arguments(arguments).map_err(|what| Error::Usage(format!("{what}; give less")))?;
        let mut bytes = Vec::new();
        for argument in arguments {
            bytes.extend_from_slice(argument.as_bytes());
            bytes.push(0);
        }
        let segment = self.segment(
            program,
            address,
            pages_for(bytes.len() as u64),
            Rights::READ,
        )?;
        self.pieces.push(Piece {
            offset: u64::from(segment.first_page) * PAGE_SIZE,
            source: Source::Bytes(bytes),
        });
        Ok(segment)
    }

    /// Sets the frame quota, and refuses quotas that the environment exceeds before it starts.
    fn check_quotas(
        &self,
        environment: &Environment,
        record: &mut EnvironmentRecord,
    ) -> Result<(), Error> {
        let attached = u64::from(record.attached_blocks) * BLOCK_FRAMES;
        let frames = u64::from(record.pages) + u64::from(record.grant_blocks) * BLOCK_FRAMES;
        let quota = environment
            .quota
            .frames
            .map_or(frames + SPARE_FRAMES, u64::from);
        record.frames_quota = u32::try_from(quota + attached)
            .map_err(|_| self.bad(environment, "memory is too large"))?;
        if quota < frames {
            return Err(self.bad(
                environment,
                &format!("quota.frames = {quota}, but program and memory alone are {frames} frames; raise it"),
            ));
        }
        // Grant, image, attached blocks, ports, extents, functions, environments.
        let ports = record.ports.iter().filter(|ports| ports.count != 0);
        let extents = record.extents.iter().filter(|extent| extent.sectors != 0);
        let capabilities = 2
            + u32::from(record.attached_blocks != 0)
            + (ports.count() + extents.count()) as u32
            + record.function_count
            + u32::from(record.environments != 0);
        if record.capabilities_quota < capabilities {
            return Err(self.bad(
                environment,
                &format!(
                    "quota.capabilities = {}, but it starts with {capabilities}; raise it",
                    record.capabilities_quota
                ),
            ));
        }
        Ok(())
    }

    /// The program with this name, read once.
    fn program(&mut self, name: &'a str) -> Result<Arc<Executable>, Error> {
        if let Some(program) = self.programs.get(name) {
            return Ok(program.clone());
        }
        let program = Arc::new(Executable::read(
            "program",
            &self.choices.programs.join(name),
        )?);
        self.programs.insert(name, program.clone());
        Ok(program)
    }

    /// Assigns pages to the segments of a program. `end` becomes the end of the highest.
    fn segments<'s>(
        &mut self,
        program: &Executable,
        slots: &mut impl Iterator<Item = &'s mut Segment>,
        end: &mut u64,
    ) -> Result<(), Error> {
        let mut entry_found = false;
        for load in &program.segments {
            let start = load.address / PAGE_SIZE * PAGE_SIZE;
            let load_end = load.address + load.memory_size;
            if start < *end || load_end > PROGRAM_END {
                return Err(program.bad(&format!(
                    "has a segment at {:#x} that shares a page with another or lies outside {PROGRAM_BASE:#x}..{PROGRAM_END:#x}; link it anew",
                    load.address
                )));
            }
            let mut rights = Rights::READ;
            if load.write {
                rights = rights.union(Rights::WRITE);
            }
            if load.execute {
                rights = rights.union(Rights::EXECUTE);
            }
            let segment = self.segment(program, start, pages_for(load_end - start), rights)?;
            *slots.next().ok_or_else(|| too_many_segments(program))? = segment;
            if load.file_size != 0 {
                self.pieces.push(Piece {
                    offset: u64::from(segment.first_page) * PAGE_SIZE + (load.address - start),
                    source: Source::File {
                        file: program.file.clone(),
                        from: load.file_offset,
                        length: load.file_size,
                    },
                });
            }
            entry_found |= load.execute && (load.address..load_end).contains(&program.entry);
            *end = start + u64::from(segment.pages) * PAGE_SIZE;
        }
        if !entry_found {
            return Err(program.bad("has its entry outside its code; link it anew"));
        }
        Ok(())
    }

    /// The next `pages` pages of the bundle, to be mapped at `address`.
    fn segment(
        &mut self,
        program: &Executable,
        address: u64,
        pages: u64,
        rights: Rights,
    ) -> Result<Segment, Error> {
        let first_page = self.page_number(program)?;
        self.next_page += pages.min(MEMORY_MAX / PAGE_SIZE);
        self.page_number(program)?;
        Ok(Segment {
            address,
            first_page,
            pages: pages as u32,
            rights: rights.0,
            reserved: 0,
        })
    }

    /// The next page, if the bundle is not beyond all memory.
    fn page_number(&self, program: &Executable) -> Result<u32, Error> {
        match u32::try_from(self.next_page) {
            Ok(page) if self.next_page < MEMORY_MAX / PAGE_SIZE => Ok(page),
            _ => Err(program.bad("is too large: with it the image exceeds the largest machine; make its data smaller")),
        }
    }
}

fn too_many_segments(program: &Executable) -> Error {
    program.bad(&format!(
        "has more than {SEGMENTS_MAX} segments, arguments included; link it anew"
    ))
}

/// A name in its fixed field; manifests refuse longer ones.
fn padded(name: &str) -> [u8; NAME_MAX] {
    let mut field = [0; NAME_MAX];
    for (byte, source) in field.iter_mut().zip(name.bytes()) {
        *byte = source;
    }
    field
}

#[cfg(test)]
#[path = "planner_test.rs"]
mod tests;
