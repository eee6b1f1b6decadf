//! The state of a program.

use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::files::descriptors::Descriptors;
use crate::files::node::{Node, Tree};
use crate::futex::Futexes;
use crate::memory::Memory;
use crate::options::Options;
use crate::rewrite::Rewriter;
use crate::statistics::Statistics;
use crate::thread::Threads;

/// A program, and everything that the personality keeps for it.
pub struct Process {
    /// How it was started.
    pub options: Options,
    /// Its threads.
    pub threads: Threads,
    /// Words of memory for which its threads wait.
    pub futexes: Futexes,
    /// Its memory.
    pub memory: Memory,
    /// Its file system.
    pub tree: Tree,
    /// Its working directory: directories from the root down.
    pub directory: Vec<Rc<Node>>,
    /// Its open files.
    pub descriptors: Descriptors,
    /// What may not be set in the mode of a new file.
    pub mask: u32,
    /// Signal dispositions as it gave them, by number: `struct kernel_sigaction`.
    pub signal_actions: [[u64; 4]; SIGNALS],
    /// Blocked signals.
    pub signal_mask: u64,
    /// Rewrites its call sites, in call mode.
    pub rewriter: Option<Rewriter>,
    /// Counts.
    pub statistics: Statistics,
    /// Nanoseconds since 1970 when the time stamp counter was zero.
    pub epoch: u64,
    next_number: u32,
}

/// Number of the first process, and of its first thread.
pub const FIRST: u32 = 1;
/// Signals, numbered from 1.
pub const SIGNALS: usize = 64;

impl Process {
    /// A program that has not started.
    pub fn new(options: Options) -> Self {
        let tree = Tree::default();
        Self {
            directory: alloc::vec![tree.root.clone()],
            options,
            threads: Threads::new(FIRST),
            futexes: Futexes::default(),
            next_number: FIRST + 1,
            memory: Memory::default(),
            tree,
            descriptors: Descriptors::default(),
            mask: 0o022,
            signal_actions: [[0; 4]; SIGNALS],
            signal_mask: 0,
            rewriter: None,
            statistics: Statistics::default(),
            epoch: 0,
        }
    }

    /// A number for a new thread.
    pub fn new_number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number - 1
    }
}
