//! Environments that this program makes: each runs a function of it, in its own image, on a stack of its own.
//!
//! They share all statics, heap and console included, as threads would, but no lock of this runtime is made for that: what such a function
//! does is calls of [`gate`], and atomics. A personality that makes processes does it by [`gate`] itself.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use exo_abi::address::{PAGE_SIZE, PROGRAM_END};
use exo_abi::call::ANY_FRAME;
use exo_abi::map::{MAP_BATCH, MapEntry};
use exo_abi::page_entry::{NO_EXECUTE, WRITE};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::gate::{self, Quotas, Target};
use crate::{environment, page_tables, program_memory, tables, window};

/// Top of the stack of every child.
const STACK_TOP: u64 = PROGRAM_END - (1 << 30);
/// Pages of it.
const STACK_PAGES: u64 = 4;

/// What a child gets of the quotas of this environment, which owns no frames for it to give.
pub const QUOTAS: Quotas = Quotas {
    frames: 0,
    tables: 32,
    capabilities: 8,
};

/// What all children get: derived once from what this environment holds.
pub struct Maker {
    /// The numbers that it may make, first and count.
    pub numbers: (u16, u16),
    /// The capability for them, to be copied.
    pub environments: Capability,
    image: Capability,
}

/// A child that was made.
#[derive(Clone, Copy)]
pub struct Child {
    /// How to reach it.
    pub target: Target,
    /// The frames of its stack, which are this environment's.
    pub stack: Capability,
    stack_first: u64,
}

impl Maker {
    /// Derives what children get.
    pub fn new() -> Result<Self, Error> {
        let all = Rights::CAPABILITY;
        let derived = |kind: Kind| {
            let (root, entry) = environment::capabilities_of(kind)
                .next()
                .ok_or(Error::BadCapability)?;
            let derived = gate::capability_derive(root, entry.first, entry.count, all)?;
            Ok((derived, entry))
        };
        let (environments, numbers) = derived(Kind::Environment)?;
        let (image, _) = derived(Kind::Frames)?;
        Ok(Self {
            numbers: (numbers.first as u16, numbers.count as u16),
            environments,
            image,
        })
    }

    /// Child `index`, from 0 on.
    pub fn target(&self, index: u16) -> Target {
        Target {
            capability: self.environments,
            id: EnvironmentId(self.numbers.0 + index),
        }
    }

    /// Makes child `index` on a vCPU: with this program's image and a stack, not started.
    pub fn make(&self, index: u16, vcpu: u32) -> Result<Child, Error> {
        self.make_with(index, vcpu, QUOTAS)
    }

    /// The same, with these quotas.
    pub fn make_with(&self, index: u16, vcpu: u32, quotas: Quotas) -> Result<Child, Error> {
        let target = self.target(index);
        gate::environment_create(target, vcpu, quotas)?;
        let image = gate::capability_copy(self.image, target.id)?;
        map_image(target, image)?;
        let stack = gate::frame_allocate(ANY_FRAME, STACK_PAGES, 0)?;
        let entry = tables::capability(stack.slot()).ok_or(Error::BadCapability)?;
        let rights = Rights::READ_WRITE;
        let part = gate::capability_derive(stack, entry.first, entry.count, rights)?;
        let part = gate::capability_give(part, target.id)?;
        let mapping = MapEntry {
            address: STACK_TOP - STACK_PAGES * PAGE_SIZE,
            frame: entry.first,
            pages: STACK_PAGES as u32,
            rights: rights.0,
            capability: part.0,
        };
        gate::page_map_in(target, &[mapping])?;
        Ok(Child {
            target,
            stack,
            stack_first: entry.first,
        })
    }

    /// Gives what is left of a child that has ended back.
    pub fn clear(&self, child: Child) -> Result<(), Error> {
        gate::capability_free(child.stack)
    }
}

impl Child {
    /// Starts it: it ends with what `main` returns.
    pub fn start(&self, main: extern "C" fn(u64) -> u64, argument: u64) -> Result<(), Error> {
        let top = window::address_of(self.stack_first + STACK_PAGES) - 8;
        let main = main as usize as u64;
        // SAFETY: 1. the window shows the frames, which are this environment's own; 2. no Rust object of it lies there.
        unsafe { (top as *mut u64).write_volatile(main) };
        gate::environment_start(
            self.target,
            begin as *const () as u64,
            STACK_TOP - 8,
            argument,
        )
    }
}

/// First instructions of a child: `main` lies on the stack, its argument in `rax`.
#[unsafe(naked)]
extern "C" fn begin() -> ! {
    naked_asm!(
        "mov rdi, rax",
        "pop rcx",
        "xor ebp, ebp",
        "call rcx",
        "mov rdi, rax",
        "call {end}",
        "ud2",
        end = sym end,
    )
}

extern "C" fn end(status: u64) -> ! {
    gate::environment_exit(status)
}

/// Maps each page of the own image in a child as it is mapped here.
fn map_image(target: Target, capability: Capability) -> Result<(), Error> {
    let image = program_memory::image();
    let mut batch = [MapEntry::default(); MAP_BATCH];
    let mut count = 0;
    for address in (image.start..image.end).step_by(PAGE_SIZE as usize) {
        let Some(entry) = page_tables::page_entry(address) else {
            continue;
        };
        let write = if entry.has(WRITE) {
            Rights::WRITE
        } else {
            Rights::NONE
        };
        let execute = if entry.has(NO_EXECUTE) {
            Rights::NONE
        } else {
            Rights::EXECUTE
        };
        batch[count] = MapEntry {
            address,
            frame: entry.frame(),
            pages: 1,
            rights: Rights::READ.union(write).union(execute).0,
            capability: capability.0,
        };
        count += 1;
        if count == MAP_BATCH {
            gate::page_map_in(target, &batch)?;
            count = 0;
        }
    }
    if count != 0 {
        gate::page_map_in(target, &batch[..count])?;
    }
    Ok(())
}
