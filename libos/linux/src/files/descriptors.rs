//! The descriptor table of a program.

use alloc::rc::Rc;
use alloc::vec::Vec;

use super::open::OpenFile;
use crate::errno::{Errno, Result};

/// Most descriptors: `RLIMIT_NOFILE`.
pub const DESCRIPTORS_MAX: usize = 1024;

/// A descriptor: an open file, and whether `execve` closes it.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// The open file.
    pub file: Rc<OpenFile>,
    /// `FD_CLOEXEC`.
    pub closes_on_exec: bool,
}

/// All descriptors of a program.
#[derive(Clone, Debug, Default)]
pub struct Descriptors(Vec<Option<Descriptor>>);

impl Descriptors {
    /// The numbers in use.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        let used = self.0.iter().enumerate();
        used.filter_map(|(number, slot)| slot.as_ref().map(|_| number as u32))
    }

    /// The open file behind a descriptor.
    pub fn file(&self, number: u64) -> Result<&Rc<OpenFile>> {
        self.get(number).map(|descriptor| &descriptor.file)
    }

    /// A descriptor.
    pub fn get(&self, number: u64) -> Result<&Descriptor> {
        let number = usize::try_from(number as u32).map_err(|_| Errno::EBADF)?;
        self.0
            .get(number)
            .and_then(Option::as_ref)
            .ok_or(Errno::EBADF)
    }

    /// A descriptor, to change.
    pub fn get_mut(&mut self, number: u64) -> Result<&mut Descriptor> {
        let number = usize::try_from(number as u32).map_err(|_| Errno::EBADF)?;
        self.0
            .get_mut(number)
            .and_then(Option::as_mut)
            .ok_or(Errno::EBADF)
    }

    /// Gives a file the lowest free number that is at least `from`.
    pub fn add(&mut self, from: u64, file: Rc<OpenFile>, closes_on_exec: bool) -> Result {
        let mut number = usize::try_from(from).map_err(|_| Errno::EINVAL)?;
        while self.0.get(number).is_some_and(Option::is_some) {
            number += 1;
        }
        self.put(number as u64, file, closes_on_exec)
    }

    /// Gives a file a number, in place of what had it.
    pub fn put(&mut self, number: u64, file: Rc<OpenFile>, closes_on_exec: bool) -> Result {
        let index = usize::try_from(number)
            .ok()
            .filter(|&index| index < DESCRIPTORS_MAX)
            .ok_or(Errno::EMFILE)?;
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        if let Some(slot) = self.0.get_mut(index) {
            *slot = Some(Descriptor {
                file,
                closes_on_exec,
            });
        }
        Ok(number)
    }

    /// Frees those that say so, as another program is executed.
    pub fn close_for_program(&mut self) {
        for slot in &mut self.0 {
            if slot.as_ref().is_some_and(|one| one.closes_on_exec) {
                *slot = None;
            }
        }
    }

    /// Frees a number.
    pub fn close(&mut self, number: u64) -> Result<()> {
        self.get(number)?;
        if let Some(slot) = self.0.get_mut(number as u32 as usize) {
            *slot = None;
        }
        Ok(())
    }
}
