//! Executing another program.

use alloc::format;
use alloc::rc::Rc;
use alloc::vec::Vec;

use exo_rt::context::Context;
use linux_raw_sys::general::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, SIGKILL};

use super::{Arguments, process as ending, program};
use crate::calls::path::find;
use crate::calls::program::Buffer;
use crate::errno::{Errno, Result};
use crate::family::Ending;
use crate::files::node::{Content, Node};
use crate::process::Process;
use crate::start::Refusal;
use crate::wait;

/// Bytes that one argument or variable may have, and all together.
const ARGUMENT_MAX: usize = 128 << 10;
const ARGUMENTS_MAX: usize = 2 << 20;
/// Bytes of the first line of a script that are looked at.
const LINE_BYTES: usize = 256;
/// Scripts that name scripts.
const SCRIPTS_MAX: u32 = 4;

/// An array of strings that ends with a null pointer.
fn strings(process: &mut Process, address: u64) -> Result<Vec<Vec<u8>>> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    if address == 0 {
        return Ok(all);
    }
    loop {
        let place = address.wrapping_add(8 * all.len() as u64);
        let [string] = program::read_words(process, place)?;
        if string == 0 {
            return Ok(all);
        }
        let text = program::read_text(process, string, ARGUMENT_MAX, Errno::E2BIG)?;
        bytes += text.len() + 9;
        if bytes > ARGUMENTS_MAX {
            return Err(Errno::E2BIG);
        }
        all.push(text);
    }
}

/// What a script's first line names: the interpreter, and one argument for it.
fn interpreter(process: &mut Process, node: &Node) -> Result<Option<Vec<Vec<u8>>>> {
    let mut line = alloc::vec![0; LINE_BYTES];
    let mut buffer = Buffer::own(process, &mut line);
    node.data()?.borrow_mut().read(0, &mut buffer)?;
    let Some(line) = line.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let end = line.iter().position(|&byte| byte == b'\n' || byte == 0);
    let line = line.get(..end.unwrap_or(line.len())).unwrap_or_default();
    let line = line.trim_ascii();
    let space = line.iter().position(|byte| b" \t".contains(byte));
    let (name, rest) = line.split_at(space.unwrap_or(line.len()));
    if name.is_empty() {
        return Err(Errno::ENOEXEC);
    }
    let rest = Some(rest.trim_ascii()).filter(|rest| !rest.is_empty());
    Ok(Some(
        [Some(name), rest]
            .into_iter()
            .flatten()
            .map(<[u8]>::to_vec)
            .collect(),
    ))
}

pub fn execute(process: &mut Process, [path, arguments, variables, ..]: Arguments) -> wait::Result {
    let path = program::read_string(process, path)?;
    let found = process.find_executable(&path)?;
    start(process, found, path, [arguments, variables])
}

/// The program of a directory's file, or, where the path is empty, of an open file.
pub fn execute_at(
    process: &mut Process,
    [from, address, arguments, variables, flags, _]: Arguments,
) -> wait::Result {
    if flags as u32 & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut path = program::read_string(process, address)?;
    if path.is_empty() && flags as u32 & AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT.into());
    }
    let node = find(process, from, address, flags)?;
    if matches!(node.content, Content::Link(_)) {
        return Err(Errno::ELOOP.into());
    }
    process.check_executable(&node)?;
    // As under Linux.
    path = match path.first() {
        Some(b'/') => path,
        _ if from as i32 == AT_FDCWD => path,
        None => format!("/dev/fd/{from}").into_bytes(),
        Some(_) => [format!("/dev/fd/{from}/").as_bytes(), &path].concat(),
    };
    let found = (node, path.clone());
    start(process, found, path, [arguments, variables])
}

/// Executes what was found, by this path.
fn start(
    process: &mut Process,
    mut found: (Rc<Node>, Vec<u8>),
    mut path: Vec<u8>,
    [arguments, variables]: [u64; 2],
) -> wait::Result {
    // A script is known by its own name, though its interpreter is executed.
    let name = path.clone();
    let mut arguments = strings(process, arguments)?;
    let variables = strings(process, variables)?;
    let mut scripts = 0;
    while let Some(mut words) = interpreter(process, &found.0)? {
        scripts += 1;
        if scripts > SCRIPTS_MAX {
            return Err(Errno::ELOOP.into());
        }
        let interpreter = words.first().cloned().unwrap_or_default();
        words.push(core::mem::replace(&mut path, interpreter));
        words.extend(arguments.into_iter().skip(1));
        arguments = words;
        found = process.find_executable(&path)?;
    }
    let program = process
        .program_of(&found.0)
        .map_err(|refusal| match refusal {
            Refusal::Executable(_) => Errno::ENOEXEC,
            Refusal::Error(error) => error,
        })?;
    // From here on there is no way back.
    process.give_up_program();
    process.executable = Some(found);
    match process.enter(program, &name, &arguments, &variables) {
        Ok((entry, stack)) => {
            *process.threads.current.context = Context::new(entry, stack);
            process.member.has_executed.set(true);
            process.member.progress.wake_all();
            Ok(0)
        }
        Err(_) => Err(ending::end(process, Ending::Killed(SIGKILL as u8))),
    }
}

impl Process {
    /// Gives up what does not outlive its program: memory, other threads, handlers, descriptors that say so.
    fn give_up_program(&mut self) {
        self.memory.clear();
        let number = self.member.number;
        self.threads.keep_current(number);
        self.signals.reset_for_program();
        self.futexes = Default::default();
        self.timers = Default::default();
        self.late = Default::default();
        self.descriptors.close_for_program();
    }
}
