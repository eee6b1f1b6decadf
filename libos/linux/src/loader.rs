//! Brings executables into memory: each once, with its call sites rewritten, for all processes that run it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use exo_abi::Rights;
use exo_abi::address::PAGE_SIZE;
use exo_rt::program_memory;

use crate::errno::{Errno, Result};
use crate::executable::{Executable, Segment};
use crate::memory::Memory;
use crate::memory::frames::Run;
use crate::memory::kept::Wanted;
use crate::options::{Attachment, Mode};
use crate::process::Process;
use crate::rewrite::{Code, Rewriter, TRAMPOLINE_PAGES};
use crate::statistics::Statistics;

/// Where executables go that may be loaded anywhere.
const RELOCATED_BASE: u64 = 0x4000_0000;
/// Where those go that load the libraries of others.
const INTERPRETER_BASE: u64 = 0x3100_0000_0000;

/// What the start of a program needs to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// What is added to every address of the file.
    pub bias: u64,
    /// Its first instruction.
    pub entry: u64,
    /// The first instruction that is executed: that of its interpreter, if it has one.
    pub start: u64,
    /// What is added to every address of the interpreter; 0: there is none.
    pub interpreter: u64,
    /// Program headers.
    pub headers_address: u64,
    /// How many.
    pub header_count: u64,
}

/// Which file a program was made of: number, time of its last change, bytes.
pub type Key = (u64, u64, u64);

/// The programs of a family, by the file that they were made of.
pub type Programs = RefCell<BTreeMap<Key, Rc<Program>>>;

/// A part of a program.
struct Part {
    segment: Segment,
    /// First frame of its pages, if they are the same for every process.
    shared: Option<u64>,
}

/// An executable in memory.
pub struct Program {
    file: Attachment,
    parts: Vec<Part>,
    loaded: Loaded,
    /// Where trampolines go, and their first frame.
    trampolines: Option<(u64, u64)>,
    rewriter: RefCell<Option<Rewriter>>,
    /// What loads its libraries.
    interpreter: Option<Box<Self>>,
}

impl Program {
    /// The program of a file, all of whose contents are `file`, with its interpreter.
    pub fn new(
        process: &mut Process,
        executable: &Executable,
        file: Attachment,
        interpreter: Option<(&Executable, Attachment)>,
    ) -> Result<Self> {
        let mut program = Self::at(RELOCATED_BASE, process, executable, file)?;
        if let Some((executable, file)) = interpreter {
            let interpreter = Self::at(INTERPRETER_BASE, process, executable, file)?;
            program.loaded.start = interpreter.loaded.entry;
            program.loaded.interpreter = interpreter.loaded.bias;
            program.interpreter = Some(Box::new(interpreter));
        }
        Ok(program)
    }

    /// The program of a file, at `base` if it may be loaded anywhere.
    fn at(
        base: u64,
        process: &mut Process,
        executable: &Executable,
        file: Attachment,
    ) -> Result<Self> {
        let rewrites = process.options.mode == Mode::Call;
        let Process {
            memory, statistics, ..
        } = process;
        let bias = match executable.is_relocatable {
            true => base,
            false => 0,
        };
        let first = file.physical / PAGE_SIZE;
        let mut parts = Vec::new();
        for &segment in &executable.segments {
            let is_written =
                segment.rights.contains(Rights::WRITE) || segment.memory_bytes > segment.file_bytes;
            let shared = if is_written {
                None
            } else if segment.rights.contains(Rights::EXECUTE) && rewrites {
                // The file stays as it is.
                Some(copy(memory, &segment, file)?)
            } else {
                Some(first + segment.offset / PAGE_SIZE)
            };
            parts.push(Part { segment, shared });
        }
        let mut program = Self {
            file,
            parts,
            loaded: Loaded {
                bias,
                entry: bias + executable.entry,
                start: bias + executable.entry,
                interpreter: 0,
                headers_address: bias + executable.headers_address,
                header_count: executable.header_count,
            },
            trampolines: None,
            rewriter: RefCell::new(None),
            interpreter: None,
        };
        if rewrites {
            program.rewrite(memory, statistics)?;
        }
        Ok(program)
    }

    /// Rewrites the call sites.
    fn rewrite(&mut self, memory: &mut Memory, statistics: &mut Statistics) -> Result<()> {
        let Self { parts, loaded, .. } = self;
        let lowest = parts.iter().map(|part| part.segment.address).min();
        let below = loaded.bias + lowest.unwrap_or(0) / PAGE_SIZE * PAGE_SIZE;
        let start = below
            .checked_sub(TRAMPOLINE_PAGES * PAGE_SIZE)
            .ok_or(Errno::ENOMEM)?;
        let first = memory.take_frames(TRAMPOLINE_PAGES).ok_or(Errno::ENOMEM)?;
        let mut rewriter = Rewriter::new(start, first)?;
        for part in parts.iter() {
            let Some(frame) = part.shared else { continue };
            let segment = &part.segment;
            if segment.rights.contains(Rights::EXECUTE) {
                let code = Code {
                    start: loaded.bias + segment.address,
                    bytes: segment.file_bytes,
                    physical: frame * PAGE_SIZE + segment.address % PAGE_SIZE,
                };
                rewriter.add_code(code, statistics)?;
            }
        }
        self.trampolines = Some((start, first));
        self.rewriter = RefCell::new(Some(rewriter));
        Ok(())
    }

    /// The interpreter, if an address is above where that starts.
    fn interpreter_of(&self, address: u64) -> Option<&Self> {
        let interpreter = self.interpreter.as_deref();
        interpreter.filter(|interpreter| address >= interpreter.loaded.bias)
    }

    /// Rewrites a site that has trapped, if it is in this program's own code; false where it is not.
    pub fn add_trapped(&self, address: u64, statistics: &mut Statistics) -> bool {
        let interpreter = self.interpreter.as_deref();
        if interpreter.is_some_and(|program| program.add_trapped(address, statistics)) {
            return true;
        }
        let mut rewriter = self.rewriter.borrow_mut();
        let rewriter = rewriter.as_mut();
        rewriter.is_some_and(|rewriter| rewriter.add_trapped(address, statistics))
    }

    /// The instruction whose call returns to `address`.
    pub fn instruction_before(&self, address: u64) -> Option<u64> {
        if let Some(interpreter) = self.interpreter_of(address) {
            return interpreter.instruction_before(address);
        }
        let rewriter = self.rewriter.borrow();
        rewriter
            .as_ref()
            .map(|rewriter| rewriter.instruction_before(address))
    }

    /// What it wants to have mapped.
    fn wanted(&self, all: &mut Vec<Wanted>) {
        if let Some(interpreter) = &self.interpreter {
            interpreter.wanted(all);
        }
        all.extend(self.parts.iter().map(|part| part.wanted(self.loaded.bias)));
        all.extend(self.trampolines.map(|(start, first)| Wanted {
            start,
            pages: TRAMPOLINE_PAGES,
            rights: Rights::READ_EXECUTE,
            shared: Some(first),
        }));
    }

    /// Brings it into the memory of a process, which has no program; where a stack of so many bytes starts.
    pub fn load(&self, memory: &mut Memory, stack_bytes: u64) -> Result<(Loaded, u64)> {
        let mut wanted = Vec::new();
        self.wanted(&mut wanted);
        let parts = self.parts.iter();
        let end = parts
            .map(|part| part.wanted(self.loaded.bias).end())
            .max()
            .unwrap_or_default();
        wanted.push(Memory::wanted_break(end));
        let stack = memory.begin_program(&wanted, stack_bytes)?;
        self.load_parts(memory)?;
        memory.end_program(end)?;
        Ok((self.loaded, stack))
    }

    fn load_parts(&self, memory: &mut Memory) -> Result<()> {
        if let Some(interpreter) = &self.interpreter {
            interpreter.load_parts(memory)?;
        }
        for part in &self.parts {
            let wanted = part.wanted(self.loaded.bias);
            let Wanted {
                start,
                pages,
                rights,
                shared,
            } = wanted;
            match shared {
                Some(first) => memory.show_part(start, first, pages, rights)?,
                None => {
                    let runs = memory.bring_part(start, pages, rights)?;
                    for (number, run) in runs {
                        part.fill(memory, self.file, number, run)?;
                    }
                }
            }
        }
        if let Some((start, first)) = self.trampolines {
            memory.show_part(start, first, TRAMPOLINE_PAGES, Rights::READ_EXECUTE)?;
        }
        Ok(())
    }
}

impl Part {
    fn wanted(&self, bias: u64) -> Wanted {
        let segment = &self.segment;
        let distance = segment.address % PAGE_SIZE;
        Wanted {
            start: bias + segment.address - distance,
            pages: (distance + segment.memory_bytes).div_ceil(PAGE_SIZE),
            rights: segment.rights,
            shared: self.shared,
        }
    }

    /// Fills frames, the first of which is behind page `number` of the segment: with what the file has, and zeros around it.
    fn fill(&self, memory: &Memory, file: Attachment, number: u64, run: Run) -> Result<()> {
        let segment = &self.segment;
        let distance = segment.address % PAGE_SIZE;
        let (from, to) = (number * PAGE_SIZE, (number + run.count) * PAGE_SIZE);
        let view = memory.view(run.first);
        let first = distance.clamp(from, to);
        let end = (distance + segment.file_bytes).clamp(from, to);
        if !run.is_clean {
            program_memory::zero(view, first - from)?;
            program_memory::zero(view + end - from, to - end)?;
        }
        if first < end {
            let source = file.view() + segment.offset + (first - distance);
            program_memory::copy(source, view + first - from, end - first)?;
        }
        Ok(())
    }
}

/// Copies a segment, with zeros behind what the file has; the first frame.
fn copy(memory: &mut Memory, segment: &Segment, file: Attachment) -> Result {
    let distance = segment.address % PAGE_SIZE;
    let pages = (distance + segment.memory_bytes).div_ceil(PAGE_SIZE);
    let first = memory.take_frames(pages).ok_or(Errno::ENOMEM)?;
    program_memory::copy(
        file.view() + segment.offset,
        memory.view(first) + distance,
        segment.file_bytes,
    )?;
    Ok(first)
}
