//! Which file a process runs first, and where.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::errno::Errno;
use crate::executable::Executable;
use crate::family::Shown;
use crate::files::credentials::EXECUTE;
use crate::files::data::{Base, Data};
use crate::files::node::{Content, Node};
use crate::files::path;
use crate::loader::Program;
use crate::options::Attachment;
use crate::process::Process;
use crate::stack::{self, STACK_BYTES};

/// Where a name without a slash is looked for, if no variable says.
const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Permissions of a program that is not in the root file system.
const PROGRAM_MODE: u32 = 0o755;

/// Bytes that a process's name may have (prctl(2)).
const NAME_MAX: usize = 15;

/// Why a file is not executed.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// It is no executable of this kind.
    Executable(&'static str),
    /// Something is missing.
    Error(Errno),
}

impl Process {
    /// Goes to the directory of `--workdir`.
    pub fn enter_working_directory(&mut self) -> Result<(), &'static str> {
        let path = self.options.directory.clone();
        let found = path::look_up(self, &self.directory, path.as_bytes(), true)
            .and_then(path::Place::chain);
        self.directory = found.map_err(|_| {
            "--workdir is no directory of the root file system; name one by a path that starts with /"
        })?;
        Ok(())
    }

    /// Loads the program that the options name; its first instruction and its stack.
    pub fn start(&mut self) -> Result<(u64, u64), &'static str> {
        const MEMORY: &str = "it does not fit into the memory; give more with --memory";
        let (node, path) = self.find_program()?;
        node.data().map_err(|_| "it is no regular file")?;
        let words = |words: &[String]| words.iter().map(|word| word.clone().into_bytes()).collect();
        let arguments: Vec<_> = words(&self.options.arguments);
        let variables: Vec<_> = words(&self.options.variables);
        let name = arguments.first().cloned().unwrap_or_default();
        let program = self.program_of(&node).map_err(|error| match error {
            Refusal::Executable(reason) => reason,
            Refusal::Error(_) => MEMORY,
        })?;
        self.executable = Some((node, path));
        self.enter(program, &name, &arguments, &variables)
            .map_err(|_| MEMORY)
    }

    /// The program in a file.
    pub fn program_of(&mut self, node: &Node) -> Result<Rc<Program>, Refusal> {
        let data = node.data().map_err(|_| Refusal::Error(Errno::EACCES))?;
        let key = (node.number, node.changed.get(), node.size());
        let known = self.family.programs.borrow().get(&key).cloned();
        if let Some(program) = known {
            return Ok(program);
        }
        let file = data.borrow_mut().whole(&mut self.memory);
        let file = file.map_err(Refusal::Error)?;
        let executable = Executable::read(file).map_err(Refusal::Executable)?;
        let interpreter = match &executable.interpreter {
            Some(path) => Some(self.interpreter(path).map_err(Refusal::Executable)?),
            None => None,
        };
        let interpreter = interpreter
            .as_ref()
            .map(|(executable, file)| (executable, *file));
        let program = Program::new(self, &executable, file, interpreter);
        let program = program.map_err(Refusal::Error)?;
        let program = Rc::new(program);
        let mut programs = self.family.programs.borrow_mut();
        programs.insert(key, program.clone());
        Ok(program)
    }

    /// What loads the libraries of a program, from the root file system.
    fn interpreter(&mut self, path: &[u8]) -> Result<(Executable, Attachment), &'static str> {
        let (node, _) = self.find_executable(path).map_err(
            |_| "it is dynamically linked; link it with -static, or give a root file system that has its interpreter and libraries (--root)",
        )?;
        let data = node
            .data()
            .map_err(|_| "its interpreter is no regular file")?;
        let file = data.borrow_mut().whole(&mut self.memory);
        let file = file
            .map_err(|_| "its interpreter does not fit into the memory; give more with --memory")?;
        let executable = Executable::read(file)?;
        match executable.interpreter {
            None => Ok((executable, file)),
            Some(_) => Err("its interpreter has an interpreter itself"),
        }
    }

    /// Brings a program into memory, in which there is none; its first instruction and its stack.
    pub fn enter(
        &mut self,
        program: Rc<Program>,
        path: &[u8],
        arguments: &[Vec<u8>],
        variables: &[Vec<u8>],
    ) -> crate::errno::Result<(u64, u64)> {
        let (loaded, stack) = program.load(&mut self.memory, STACK_BYTES)?;
        self.program = Some(program);
        self.show(path, arguments, variables);
        let stack = stack::build(self, stack, &loaded, path, arguments, variables)?;
        Ok((loaded.start, stack))
    }

    /// Notes what others see of its program.
    fn show(&self, path: &[u8], arguments: &[Vec<u8>], variables: &[Vec<u8>]) {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        let strings = |all: &[Vec<u8>]| {
            all.iter()
                .flat_map(|one| [one, &b"\0"[..]].concat())
                .collect()
        };
        let executable = self.executable.as_ref().map(|(_, path)| path.clone());
        self.member.shown.replace(Rc::new(Shown {
            name: name.iter().take(NAME_MAX).copied().collect(),
            arguments: strings(arguments),
            variables: strings(variables),
            executable: executable.unwrap_or_default(),
        }));
    }

    /// The file that the options name, and its path.
    fn find_program(&self) -> Result<(Rc<Node>, Vec<u8>), &'static str> {
        let name = self.options.arguments.first().cloned().unwrap_or_default();
        let Some(place) = self.options.program else {
            return self.search(&name);
        };
        let base = Base::Attached(place.physical);
        let data = Data::over(&self.tree.store, base, place.bytes);
        let content = Content::Regular(RefCell::new(data));
        let node = self.tree.create(content, PROGRAM_MODE);
        // It stands in the root directory, which lacks it only where another file has its name.
        let file = name.rsplit('/').next().unwrap_or(&name);
        let names = self.tree.root.names().map_err(reason)?;
        if !names.borrow().contains_key(file.as_bytes()) {
            self.tree.root.insert(file.as_bytes(), node.clone());
        }
        Ok((node, alloc::format!("/{file}").into_bytes()))
    }

    /// The program with a name, in the root file system.
    fn search(&self, name: &str) -> Result<(Rc<Node>, Vec<u8>), &'static str> {
        if name.contains('/') {
            return self.find_executable(name.as_bytes()).map_err(reason);
        }
        let variables = self.options.variables.iter();
        let given = variables
            .filter_map(|one| one.strip_prefix("PATH="))
            .next_back();
        given
            .unwrap_or(SEARCH)
            .split(':')
            .find_map(|folder| {
                let path = alloc::format!("{folder}/{name}");
                self.find_executable(path.as_bytes()).ok()
            })
            .ok_or("no folder of PATH in its root file system has it; name it by its path")
    }

    /// A file that may be executed, and the path that leads to it.
    pub fn find_executable(&self, path: &[u8]) -> Result<(Rc<Node>, Vec<u8>), Errno> {
        let place = path::look_up(self, &self.directory, path, true)?;
        let node = place.found()?;
        self.check_executable(node)?;
        let path = match &self.executable {
            // The program itself may lie outside the root file system.
            Some((own, path)) if Rc::ptr_eq(own, node) => path.clone(),
            _ => place.path()?,
        };
        Ok((node.clone(), path))
    }
}

impl Process {
    /// Whether a file may be executed.
    pub fn check_executable(&self, node: &Node) -> Result<(), Errno> {
        if node.data().is_err() {
            return Err(Errno::EACCES);
        }
        self.credentials.check(node, EXECUTE)
    }
}

fn reason(error: Errno) -> &'static str {
    match error {
        Errno::ENOENT | Errno::ENOTDIR => {
            "its root file system has no such file; PROGRAM is a path in it"
        }
        Errno::EACCES => "it may not be executed; check its permissions (chmod +x) and --user",
        _ => "its path cannot be followed in the root file system",
    }
}
