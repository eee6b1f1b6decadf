//! Which file a process runs first, and where.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::errno::Errno;
use crate::files::credentials::EXECUTE;
use crate::files::data::{Base, Data};
use crate::files::node::{Content, Node};
use crate::files::path;
use crate::options::Attachment;
use crate::process::Process;

/// Where a name without a slash is looked for, if no variable says.
const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Permissions of a program that is not in the root file system.
const PROGRAM_MODE: u32 = 0o755;

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

    /// Finds the file of the program, and remembers it as the process's own.
    pub fn find_program(&mut self) -> Result<Attachment, &'static str> {
        let name = self.options.arguments.first().cloned().unwrap_or_default();
        let (node, path) = match self.options.program {
            Some(place) => {
                let base = Base::Attached(place.physical);
                let data = Data::over(&self.tree.store, base, place.bytes);
                let content = Content::Regular(RefCell::new(data));
                (self.tree.create(content, PROGRAM_MODE), name.into_bytes())
            }
            None => self.search(&name)?,
        };
        let data = node.data().map_err(|_| "it is no regular file")?;
        let whole = data.borrow_mut().whole(&mut self.memory);
        let whole =
            whole.map_err(|_| "it does not fit into the memory; give more with --memory")?;
        self.executable = Some((node, path));
        Ok(whole)
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
        if node.data().is_err() {
            return Err(Errno::EACCES);
        }
        self.credentials.check(node, EXECUTE)?;
        Ok((node.clone(), place.path()?))
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
