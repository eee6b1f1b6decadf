//! The first contents of a program's stack: arguments, variables, auxiliary vector (System V ABI for x86-64, section 3.4.1).

use alloc::vec::Vec;

use exo_abi::address::PAGE_SIZE;
use exo_rt::{processor, vdso};
use linux_raw_sys::auxvec::{
    AT_BASE, AT_CLKTCK, AT_EGID, AT_ENTRY, AT_EUID, AT_EXECFN, AT_FLAGS, AT_GID, AT_HWCAP, AT_NULL,
    AT_PAGESZ, AT_PHDR, AT_PHENT, AT_PHNUM, AT_PLATFORM, AT_RANDOM, AT_SECURE, AT_SYSINFO_EHDR,
    AT_UID,
};

use crate::calls::program;
use crate::crash::Image;
use crate::errno::Result;
use crate::loader::Loaded;
use crate::process::Process;

/// Bytes of a stack.
pub const STACK_BYTES: u64 = 8 << 20;
/// Size of a program header.
const HEADER_BYTES: u64 = 56;
/// Ticks of a second, as `times` counts.
const CLOCK_TICKS: u64 = 100;

/// Collects what goes to the top of a stack, downwards.
struct Builder<'p> {
    process: &'p mut Process,
    top: u64,
}

impl Builder<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result {
        self.top -= bytes.len() as u64;
        program::write(self.process, self.top, bytes)?;
        Ok(self.top)
    }

    fn push_string(&mut self, text: &[u8]) -> Result {
        self.push(&[0])?;
        self.push(text)
    }
}

/// Fills the stack of a program that starts, whose memory begins at `start`; its stack pointer.
pub fn build(
    process: &mut Process,
    start: u64,
    loaded: &Loaded,
    path: &[u8],
    arguments: &[Vec<u8>],
    variables: &[Vec<u8>],
) -> Result {
    let mut stack = Builder {
        process,
        top: start + STACK_BYTES - PAGE_SIZE / 2,
    };
    let name = stack.push_string(path)?;
    let platform = stack.push_string(b"x86_64")?;
    let random = stack.push(
        &[processor::random(), processor::random()]
            .map(u64::to_le_bytes)
            .concat(),
    )?;
    let mut push_all = |words: &[Vec<u8>]| {
        words
            .iter()
            .map(|word| stack.push_string(word))
            .collect::<Result<Vec<_>>>()
    };
    let variables = push_all(variables)?;
    let arguments = push_all(arguments)?;

    let auxiliary = [
        (AT_PHDR, loaded.headers_address),
        (AT_PHENT, HEADER_BYTES),
        (AT_PHNUM, loaded.header_count),
        (AT_PAGESZ, PAGE_SIZE),
        (AT_BASE, loaded.interpreter),
        (AT_FLAGS, 0),
        (AT_ENTRY, loaded.entry),
        (AT_UID, 0),
        (AT_EUID, 0),
        (AT_GID, 0),
        (AT_EGID, 0),
        (AT_SECURE, 0),
        (AT_HWCAP, 0),
        (AT_CLKTCK, CLOCK_TICKS),
        (AT_RANDOM, random),
        (AT_PLATFORM, platform),
        (AT_EXECFN, name),
        (
            AT_SYSINFO_EHDR,
            vdso::start(stack.process.tree.store.epoch()),
        ),
        (AT_NULL, 0),
    ];
    let mut words = Vec::new();
    words.push(arguments.len() as u64);
    words.extend(arguments);
    words.push(0);
    words.extend(variables);
    words.push(0);
    let auxiliary: Vec<u64> = auxiliary
        .into_iter()
        .flat_map(|(kind, value)| [u64::from(kind), value])
        .collect();
    words.extend(&auxiliary);
    stack.process.image = Image {
        path: path.to_vec(),
        auxiliary,
    };
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    stack.top = (stack.top - bytes.len() as u64) & !15;
    let pointer = stack.top;
    program::write(stack.process, pointer, &bytes)?;
    Ok(pointer)
}
