//! Trampolines: what a jump has overwritten, and the way into the personality.

use alloc::vec::Vec;

use exo_abi::address::PAGE_SIZE;
use exo_rt::{family, program_memory, system_call};
use iced_x86::{
    BlockEncoder, BlockEncoderOptions, Code, Decoder, DecoderOptions, Instruction,
    InstructionBlock, MemoryOperand, Register,
};

use super::site::Site;
use crate::errno::{Errno, Result};

/// Pages for trampolines.
pub const PAGES: u64 = 16;
/// Trampolines start at multiples of this.
pub(super) const ALIGNMENT: u64 = 16;

/// The trampolines of a program. The first word is the address of the personality's entry.
pub struct Trampolines {
    start: u64,
    /// Their first frame.
    first: u64,
    used: u64,
}

impl Trampolines {
    /// None yet, in `PAGES` pages at `start`, in frames from `first` on.
    pub fn new(start: u64, first: u64) -> Result<Self> {
        program_memory::write(family::view(first), &system_call::entry().to_le_bytes())?;
        Ok(Self {
            start,
            first,
            used: ALIGNMENT,
        })
    }

    /// Makes the trampoline of a site; its address, and where the call returns to.
    pub fn add(&mut self, site: &Site) -> Result<(u64, u64)> {
        let address = self.start + self.used;
        let (code, behind) = encode(site, address, self.start).ok_or(Errno::EINVAL)?;
        let end = self.used + code.len() as u64;
        if end > PAGES * PAGE_SIZE {
            return Err(Errno::ENOMEM);
        }
        program_memory::write(family::view(self.first) + self.used, &code)?;
        self.used = end.next_multiple_of(ALIGNMENT);
        Ok((address, behind))
    }
}

/// The code of a trampoline at `address`: what was before the `syscall`; as `syscall` does, rcx where to go on; a jump by way of the
/// word at `entry`. Then, if instructions behind the `syscall` are overwritten, these, and the way back. With it, where the call returns to.
pub(super) fn encode(site: &Site, address: u64, entry: u64) -> Option<(Vec<u8>, u64)> {
    if site.behind.is_empty() {
        let behind = site.resume();
        return Some((encode_entry(site, address, entry, behind)?, behind));
    }
    // Its length does not depend on where it leads.
    let length = encode_entry(site, address, entry, site.resume())?.len() as u64;
    let mut code = encode_entry(site, address, entry, address + length)?;
    let mut behind = decode(&site.behind, site.address + 2);
    behind.push(Instruction::with_branch(Code::Jmp_rel32_64, site.resume()).ok()?);
    code.extend(assemble(&behind, address + length)?);
    Some((code, address + length))
}

fn encode_entry(site: &Site, address: u64, entry: u64, resume: u64) -> Option<Vec<u8>> {
    let relative =
        |target: u64| MemoryOperand::with_base_displ(Register::RIP, target.cast_signed());
    let mut instructions = decode(&site.before, site.start);
    instructions.push(Instruction::with2(Code::Lea_r64_m, Register::RCX, relative(resume)).ok()?);
    instructions.push(Instruction::with1(Code::Jmp_rm64, relative(entry)).ok()?);
    assemble(&instructions, address)
}

fn decode(bytes: &[u8], address: u64) -> Vec<Instruction> {
    Decoder::with_ip(64, bytes, address, DecoderOptions::NONE)
        .iter()
        .collect()
}

fn assemble(instructions: &[Instruction], address: u64) -> Option<Vec<u8>> {
    let block = InstructionBlock::new(instructions, address);
    let encoded = BlockEncoder::encode(64, block, BlockEncoderOptions::NONE);
    encoded.ok().map(|encoded| encoded.code_buffer)
}
