//! Rewriting of `syscall` instructions into jumps to the personality.
//!
//! A jump of five bytes takes the place of the instructions just before a `syscall`, which then stays where it is: code that branches
//! to it from elsewhere still traps, and is served all the same. Where they are too short, it takes the place of the `syscall` and
//! those behind it. What it has overwritten is executed in a [`trampoline`], which enters the personality as `syscall` would. No byte
//! of the program's stack is written on the way.

pub mod late;
mod site;
mod trampoline;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use exo_rt::program_memory;

use crate::errno::{Errno, Result};
use crate::memory::attached;
use crate::statistics::Statistics;
use site::Site;
pub use trampoline::PAGES as TRAMPOLINE_PAGES;
use trampoline::Trampolines;

/// Bytes of a `syscall`.
const SYSCALL_BYTES: u64 = 2;
/// Bytes of a near jump.
const JUMP_BYTES: usize = 5;
/// How far around a site that is found late branches into it are looked for.
const NEIGHBOURHOOD: u64 = 64 << 10;

/// Code of the program: addresses, and where the same bytes can be written.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub bytes: u64,
    /// Physical address of its first byte; the others follow it.
    pub physical: u64,
}

impl Code {
    fn contains(&self, address: u64) -> bool {
        address
            .checked_sub(self.start)
            .is_some_and(|offset| offset < self.bytes)
    }

    /// The part of it around an address.
    fn around(&self, address: u64) -> Self {
        let offset = address - self.start;
        let first = offset.saturating_sub(NEIGHBOURHOOD);
        Self {
            start: self.start + first,
            bytes: (offset + NEIGHBOURHOOD).min(self.bytes) - first,
            physical: self.physical + first,
        }
    }

    fn read(&self) -> Result<Vec<u8>> {
        let mut text = vec![0; self.bytes as usize];
        program_memory::read(attached::view(self.physical), &mut text)?;
        Ok(text)
    }
}

/// The rewriter of one program.
pub struct Rewriter {
    trampolines: Trampolines,
    /// Code that was looked through.
    codes: Vec<Code>,
    /// Addresses of `syscall` instructions that stay as they are.
    left: BTreeSet<u64>,
    /// Those of which jumps were made, by where their calls return to.
    rewritten: BTreeMap<u64, u64>,
}

impl Rewriter {
    /// A rewriter whose trampolines lie at `start`, within reach of the program's code, in frames from `first` on.
    pub fn new(start: u64, first: u64) -> Result<Self> {
        Ok(Self {
            trampolines: Trampolines::new(start, first)?,
            codes: Vec::new(),
            left: BTreeSet::new(),
            rewritten: BTreeMap::new(),
        })
    }

    /// Rewrites what can be found in new code.
    pub fn add_code(&mut self, code: Code, statistics: &mut Statistics) -> Result<()> {
        for (address, found) in site::find_all(&code.read()?, code.start) {
            match found {
                Ok(site) if self.rewrite(code, &site).is_ok() => statistics.rewritten += 1,
                Ok(_) | Err(_) => {
                    self.left.insert(address);
                    statistics.left += 1;
                }
            }
        }
        self.codes.push(code);
        Ok(())
    }

    /// Rewrites the `syscall` at `address`, which has trapped, if it lies in code that was looked through; false where it does not.
    pub fn add_trapped(&mut self, address: u64, statistics: &mut Statistics) -> bool {
        let Some(code) = self.codes.iter().find(|code| code.contains(address)) else {
            return false;
        };
        // One that has room before it stays, and traps where something leads to it past the jump.
        if self.left.contains(&address) || self.rewritten.contains_key(&(address + SYSCALL_BYTES)) {
            return true;
        }
        let code = code.around(address);
        let text = code.read().ok();
        let site = text.and_then(|text| site::find_trapped(&text, code.start, address).ok());
        match site {
            Some(site) if self.rewrite(code, &site).is_ok() => statistics.found_late += 1,
            _ => {
                self.left.insert(address);
                statistics.left += 1;
            }
        }
        true
    }

    /// Where a call that returns to `address` is made again.
    pub fn instruction_before(&self, address: u64) -> u64 {
        let found = self.rewritten.get(&address).copied();
        found.unwrap_or(address.wrapping_sub(SYSCALL_BYTES))
    }

    /// Rewrites a site: first the trampoline, then the jump to it.
    fn rewrite(&mut self, code: Code, site: &Site) -> Result<()> {
        let (trampoline, behind) = self.trampolines.add(site)?;
        let jump = jump(site, trampoline)?;
        let place = attached::view(code.physical + (site.start - code.start));
        program_memory::write(place, &jump)?;
        self.rewritten.insert(behind, site.address);
        Ok(())
    }
}

/// What takes the place of a site: the jump to its trampoline, and what nobody reaches.
fn jump(site: &Site, trampoline: u64) -> Result<Vec<u8>> {
    const BREAKPOINT: u8 = 0xcc;
    let distance = trampoline.wrapping_sub(site.start + JUMP_BYTES as u64);
    let distance = i32::try_from(distance.cast_signed()).map_err(|_| Errno::ERANGE)?;
    let mut jump = vec![0xe9];
    jump.extend(distance.to_le_bytes());
    jump.resize(site.bytes(), BREAKPOINT);
    Ok(jump)
}
