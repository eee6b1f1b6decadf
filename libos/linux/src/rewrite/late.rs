//! Code that appears while a program runs: libraries that it maps, and what it has written itself.
//!
//! A `syscall` there is rewritten when it has trapped, one at a time: most of a library's are never executed, and what a compiler writes at
//! run time changes. It is changed only for its process, and only while the process may not write it: before it may, it is what it was.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use exo_abi::Rights;
use exo_abi::address::PAGE_SIZE;
use exo_rt::{program_memory, system_call};

use super::trampoline::{self, ALIGNMENT};
use super::{jump, site};
use crate::errno::{Errno, Result};
use crate::memory::Memory;
use crate::options::Mode;
use crate::process::Process;

/// Pages of trampolines that are made together.
const PAGES: u64 = 4;
/// How far from a site they may lie.
const REACH: u64 = 1 << 30;
/// Pages on either side of a site in which branches to it are looked for.
const NEIGHBOURS: u64 = 16;

/// The sites that were rewritten late, of one process.
#[derive(Clone, Debug, Default)]
pub struct Late {
    /// What was overwritten, by its first address.
    before: BTreeMap<u64, Vec<u8>>,
    /// `syscall` instructions that stay as they are, as long as their code does.
    left: BTreeSet<u64>,
    /// Trampolines: first address to bytes that are used.
    trampolines: BTreeMap<u64, u64>,
}

/// Writes to memory that its process may not write, page by page.
fn write(memory: &mut Memory, mut address: u64, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let page = address & !(PAGE_SIZE - 1);
        let left = (page + PAGE_SIZE - address) as usize;
        let (now, rest) = bytes.split_at(left.min(bytes.len()));
        let frame = memory.own_code(page).ok_or(Errno::EACCES)?;
        program_memory::write(memory.view(frame) + (address - page), now)?;
        address += now.len() as u64;
        bytes = rest;
    }
    Ok(())
}

impl Late {
    /// Rewrites the `syscall` at `address`; where it stays, the reason.
    fn rewrite(&mut self, memory: &mut Memory, address: u64) -> Result<()> {
        let (start, end) = memory.code_around(address, NEIGHBOURS);
        let mut text = vec![0; (end - start) as usize];
        program_memory::read(start, &mut text)?;
        let site = site::find_trapped(&text, start, address).map_err(|_| Errno::EINVAL)?;
        // Whatever cannot be written later must not have been begun.
        for page in [site.start, site.address] {
            memory
                .own_code(page & !(PAGE_SIZE - 1))
                .ok_or(Errno::EACCES)?;
        }
        let near = site.start.saturating_sub(REACH)..site.start + REACH;
        let mut places = self.trampolines.range(near.clone());
        let room = places.find(|&(_, &used)| used + 64 <= PAGES * PAGE_SIZE);
        let (block, used) = match room {
            Some((&block, &used)) => (block, used),
            None => {
                let block = memory.map_near(near, PAGES)?;
                write(memory, block, &system_call::entry().to_le_bytes())?;
                (block, ALIGNMENT)
            }
        };
        let (code, _) = trampoline::encode(&site, block + used, block).ok_or(Errno::EINVAL)?;
        let jump = jump(&site, block + used)?;
        write(memory, block + used, &code)?;
        let used = (used + code.len() as u64).next_multiple_of(ALIGNMENT);
        self.trampolines.insert(block, used);
        write(memory, site.start, &jump)?;
        self.before.insert(site.start, site.before);
        Ok(())
    }

    /// The sites of which some lies in a range: first address and bytes.
    fn sites(&self, start: u64, end: u64) -> Vec<u64> {
        /// No site is longer.
        const SITE_BYTES_MAX: u64 = 64;
        let all = self.before.range(start.saturating_sub(SITE_BYTES_MAX)..end);
        all.filter(|(first, bytes)| *first + bytes.len() as u64 > start)
            .map(|(&first, _)| first)
            .collect()
    }

    /// Makes the code of a range what it was: the process may soon write it.
    pub fn restore(&mut self, memory: &mut Memory, start: u64, end: u64) {
        for first in self.sites(start, end) {
            if let Some(bytes) = self.before.remove(&first) {
                // Code that is gone needs no mending.
                let _ = write(memory, first, &bytes);
            }
        }
        self.forget(start, end);
    }

    /// Forgets what was known of the code of a range: something else will be there.
    pub fn forget(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        for first in self.sites(start, end) {
            self.before.remove(&first);
        }
        self.left.retain(|address| !(start..end).contains(address));
        self.trampolines
            .retain(|block, _| block + PAGES * PAGE_SIZE <= start || *block >= end);
    }

    /// A thread is about to go on at `address`: what it left before a site was rewritten must be there.
    fn go_on_at(&mut self, memory: &mut Memory, address: u64) {
        if let Some((&first, bytes)) = self.before.range(..address).next_back()
            && address < first + bytes.len() as u64
        {
            self.restore(memory, first, first + 1);
        }
    }
}

impl Process {
    /// The `syscall` at `address` has trapped: rewrites it, if that can be.
    pub fn add_trapped(&mut self, address: u64) {
        let Self {
            program,
            statistics,
            late,
            memory,
            ..
        } = self;
        if self.options.mode != Mode::Call
            || program
                .as_ref()
                .is_some_and(|program| program.add_trapped(address, statistics))
            || late.left.contains(&address)
        {
            return;
        }
        match late.rewrite(memory, address) {
            Ok(()) => statistics.found_late += 1,
            Err(_) => {
                late.left.insert(address);
                statistics.left += 1;
            }
        }
    }

    /// The current thread is about to go on in the program.
    pub fn go_on(&mut self) {
        let Self {
            threads,
            late,
            memory,
            ..
        } = self;
        if !late.before.is_empty() {
            late.go_on_at(memory, threads.current.context.registers.rip);
        }
    }

    /// The rights of a range are about to change.
    pub fn note_rights(&mut self, start: u64, bytes: u64, rights: Rights) {
        let end = start.saturating_add(bytes);
        if rights.contains(Rights::WRITE) {
            self.late.restore(&mut self.memory, start, end);
        }
    }

    /// What is in a range is about to be something else.
    pub fn note_change(&mut self, start: u64, bytes: u64) {
        self.late.forget(start, start.saturating_add(bytes));
    }
}
