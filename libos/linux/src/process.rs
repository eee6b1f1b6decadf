//! The state of a program.

use alloc::rc::Rc;
use alloc::vec::Vec;

use exo_rt::{family, start, tables};

use crate::crash::Image;
use crate::errno::{Errno, Result};
use crate::family::{Ending, Family, Letter, Member};
use crate::files::credentials::Credentials;
use crate::files::descriptors::Descriptors;
use crate::files::node::Node;
use crate::files::outside::Outside;
use crate::files::tree::Tree;
use crate::futex::Futexes;
use crate::loader::Program;
use crate::memory::Memory;
use crate::message;
use crate::options::Options;
use crate::place::{Makers, Parked};
use crate::rewrite::late::Late;
use crate::signal::Information;
use crate::signal::state::ProcessSignals;
use crate::signal::timers::Timers;
use crate::statistics::Statistics;
use crate::thread::Threads;
use crate::usage::Usage;

/// A program, and everything that the personality keeps for it.
pub struct Process {
    /// How the first of its family was started.
    pub options: Rc<Options>,
    /// All processes.
    pub family: Rc<Family>,
    /// It, as others see it.
    pub member: Rc<Member>,
    /// By what it makes other processes; `None`: it may not.
    pub makers: Option<Makers>,
    /// How it has ended, once it has: it makes no step any more.
    pub ended: Option<Ending>,
    /// Its threads.
    pub threads: Threads,
    /// Words of memory for which its threads wait.
    pub futexes: Futexes,
    /// Its program, as debuggers want to know it.
    pub image: Image,
    /// Its memory.
    pub memory: Memory,
    /// Its file system.
    pub tree: Rc<Tree>,
    /// Its root directory.
    pub root: Rc<Node>,
    /// Its working directory: directories from the root down.
    pub directory: Vec<Rc<Node>>,
    /// Its open files.
    pub descriptors: Descriptors,
    /// What may not be set in the mode of a new file.
    pub mask: u32,
    /// What it wants of signals.
    pub signals: ProcessSignals,
    /// Its timers.
    pub timers: Timers,
    /// Its program.
    pub program: Option<Rc<Program>>,
    /// Call sites that were rewritten when they trapped.
    pub late: Late,
    /// Counts.
    pub statistics: Statistics,
    /// What it has used.
    pub usage: Usage,
    /// Who it is.
    pub credentials: Credentials,
    /// Its file, and the path that leads to it.
    pub executable: Option<(Rc<Node>, Vec<u8>)>,
}

/// Number of the first process, and of its first thread.
pub const FIRST: u32 = 1;

impl Process {
    /// The first process of a family, which has not started.
    pub fn new(options: Options) -> Result<Self> {
        let tree = Rc::new(Tree::new(&options)?);
        let threads = Threads::new(FIRST);
        let (family, member) =
            Family::new(threads.run_queue.clone(), Outside::new(&options, &tree));
        Ok(Self {
            credentials: options.credentials,
            executable: None,
            root: tree.root.clone(),
            directory: alloc::vec![tree.root.clone()],
            options: Rc::new(options),
            threads,
            futexes: Futexes::default(),
            image: Image::default(),
            memory: Memory::new(family.frames.clone(), family.places.clone()),
            family,
            member,
            makers: Makers::initial(),
            ended: None,
            tree,
            descriptors: Descriptors::default(),
            mask: 0o022,
            signals: ProcessSignals::default(),
            timers: Timers::default(),
            program: None,
            late: Late::default(),
            statistics: Statistics::default(),
            usage: Usage::start(),
        })
    }

    /// Ends it: the machine with it, if it is the first. The environment of any other is kept for the next process.
    pub fn finish(mut self, ending: Ending) {
        if self.member.number == FIRST {
            if let Err(Errno(number)) = self.family.outside.finish()
                && number != Errno::EPIPE.0
            {
                message!("linux: some of what the program wrote is lost: error {number}");
            }
            self.print_statistics();
            start::exit(ending.shell_status());
        }
        let kept = self.memory.keep();
        self.family.statistics.borrow_mut().add(&self.statistics);
        let (all, member) = (self.family.clone(), self.member.clone());
        // What takes many page tables would leave too few for another program.
        let entry = tables::own_environment();
        let can_stay = !self.memory.is_torn && entry.tables <= entry.tables_quota / 2;
        let makers = self.makers.take().filter(|_| can_stay);
        let parked = match makers {
            Some(makers) => Some(Parked {
                makers,
                capabilities: core::mem::take(&mut self.memory.capabilities),
                kept,
                program: self.program.take(),
            }),
            None => {
                kept.give_back(&self.memory);
                None
            }
        };
        all.locks.release_all(member.number);
        member.used.set(self.usage.all());
        // What its files and threads have to tell others comes before its end does.
        drop(self);
        all.end(&member, ending);
        match parked {
            Some(parked) => all.places.borrow_mut().park(member.seat, parked),
            None => {
                family::leave(member.seat);
                drop((all, member));
                family::release();
                start::exit(0)
            }
        }
    }

    /// Does what the outside asks for.
    pub fn look_outside(&mut self) {
        let family = self.family.clone();
        family.outside.serve(|terminal, signal| {
            let group = terminal.group.get();
            for member in self.family.members(|member| member.group.get() == group) {
                member.send(Letter {
                    thread: None,
                    information: Information::kernel(signal),
                });
            }
        });
    }

    fn print_statistics(&mut self) {
        if self.options.statistics {
            let mut all = self.family.statistics.borrow_mut();
            all.add(&self.statistics);
            all.print();
        }
    }
}
