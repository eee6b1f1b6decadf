//! Where a program was when it crashed: unwound by its own unwind information, named by its symbols.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module, Unwinder};
use object::{Object, ObjectSection};

use super::record::{Crash, View, register};

/// Most frames that are shown.
const FRAMES_MAX: usize = 64;
/// `AT_ENTRY`: where the program starts, which tells how far it was moved.
const AT_ENTRY: u64 = 9;

/// What happened and where, in lines. `program` is the file whose path the libOS was given.
pub fn describe(crash: &Crash, view: &View, program: Option<&Path>) -> String {
    let mut text = format!(
        "exo: process {} ({}): signal {}, address {:#x}\n",
        crash.record.process, crash.path, crash.record.signal, crash.record.address
    );
    // Other programs than that come from inside the guest: their paths mean nothing here.
    let image = program
        .filter(|path| path.as_os_str() == crash.path.as_str())
        .and_then(|path| Image::read(path, crash));
    for (number, frame) in unwind(crash, view, image.as_ref()).iter().enumerate() {
        let names = image
            .as_ref()
            .map_or(Vec::new(), |image| image.names(*frame));
        let names = match names.is_empty() {
            true => "??".into(),
            false => names.join(", inlined into "),
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "  #{number:<2} {:#018x} {names}", frame.address());
    }
    text
}

/// The program's file.
struct Image {
    /// What is added to its addresses.
    bias: u64,
    symbols: addr2line::Loader,
    module: Module<Vec<u8>>,
}

impl Image {
    fn read(path: &Path, crash: &Crash) -> Option<Self> {
        let data = std::fs::read(path).ok()?;
        let file = object::File::parse(&*data).ok()?;
        let bias = crash.auxiliary(AT_ENTRY)?.wrapping_sub(file.entry());
        let section = |name: &str| {
            let section = file.section_by_name(name)?;
            let range = section.address()..section.address().checked_add(section.size())?;
            Some((range, section.data().ok()?.to_vec()))
        };
        let (text_svma, text) = section(".text").unzip();
        let (eh_frame_svma, eh_frame) = section(".eh_frame").unzip();
        let (eh_frame_hdr_svma, eh_frame_hdr) = section(".eh_frame_hdr").unzip();
        let nothing = Range {
            start: u64::MAX,
            end: 0,
        };
        let covered = file.sections().fold(nothing, |range, section| {
            let start = section.address();
            match start {
                0 => range,
                _ => range.start.min(start)..range.end.max(start.saturating_add(section.size())),
            }
        });
        let module = Module::new(
            path.display().to_string(),
            bias.wrapping_add(covered.start)..bias.wrapping_add(covered.end),
            bias,
            ExplicitModuleSectionInfo {
                base_svma: 0,
                text_svma,
                text,
                eh_frame_svma,
                eh_frame,
                eh_frame_hdr_svma,
                eh_frame_hdr,
                ..ExplicitModuleSectionInfo::default()
            },
        );
        Some(Self {
            bias,
            symbols: addr2line::Loader::new(path).ok()?,
            module,
        })
    }

    /// The functions at an address, the innermost first, with their lines where these are known.
    fn names(&self, frame: FrameAddress) -> Vec<String> {
        let address = frame.address_for_lookup().wrapping_sub(self.bias);
        let mut names = Vec::new();
        if let Ok(mut frames) = self.symbols.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let Some(function) = frame.function else {
                    continue;
                };
                let name = function
                    .demangle()
                    .map_or("??".into(), |name| name.into_owned());
                names.push(match frame.location {
                    Some(addr2line::Location {
                        file: Some(file),
                        line: Some(line),
                        ..
                    }) => format!("{name} at {file}:{line}"),
                    _ => name,
                });
            }
        }
        if names.is_empty() {
            let symbol = self.symbols.find_symbol(address);
            names.extend(
                symbol.map(|name| addr2line::demangle_auto(name.into(), None).into_owned()),
            );
        }
        names
    }
}

/// The frames of the thread that has crashed, the innermost first.
fn unwind(crash: &Crash, view: &View, image: Option<&Image>) -> Vec<FrameAddress> {
    let Some(thread) = crash.threads.first() else {
        return Vec::new();
    };
    let mut unwinder = UnwinderX86_64::<Vec<u8>>::new();
    if let Some(image) = image {
        unwinder.add_module(image.module.clone());
    }
    let register = |index: usize| thread.registers.get(index).copied().unwrap_or(0);
    let (rip, rsp, rbp) = (
        register(register::RIP),
        register(register::RSP),
        register(register::RBP),
    );
    let mut cache = CacheX86_64::<_>::new();
    let mut read_stack = |address| {
        let mut word = [0; 8];
        match view.read(address, &mut word) {
            true => Ok(u64::from_le_bytes(word)),
            false => Err(()),
        }
    };
    let registers = UnwindRegsX86_64::new(rip, rsp, rbp);
    let mut frames = unwinder.iter_frames(rip, registers, &mut cache, &mut read_stack);
    let mut found = Vec::new();
    while let Ok(Some(frame)) = frames.next() {
        found.push(frame);
        if found.len() == FRAMES_MAX {
            break;
        }
    }
    found
}
