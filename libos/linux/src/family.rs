//! The family: all processes of one run. Each is an environment of its own; what they share lies in the family's heap and changes under its lock.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use exo_abi::environment::EnvironmentId;
use exo_rt::{environment, program_memory};
use linux_raw_sys::general::{SIGCHLD, SIGCONT};

use crate::files::locks::Locks;
use crate::files::outside::Outside;
use crate::loader::Programs;
use crate::memory::frames::Frames;
use crate::place::Places;
use crate::process::FIRST;
use crate::signal::Information;
use crate::statistics::Statistics;
use crate::wait::{RunQueue, WaitQueue};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By `exit_group`, with this status.
    Exited(u8),
    /// By a signal.
    Killed(u8),
}

impl Ending {
    /// As `wait4` tells it (Linux man page wait(2)).
    pub fn wait_status(self) -> u32 {
        match self {
            Self::Exited(status) => u32::from(status) << 8,
            Self::Killed(signal) => u32::from(signal),
        }
    }

    /// As `siginfo_t` tells it: a code, and a status or a signal.
    pub fn code(self) -> (u32, u8) {
        match self {
            Self::Exited(status) => (CLD_EXITED, status),
            Self::Killed(signal) => (CLD_KILLED, signal),
        }
    }

    /// As a shell tells it.
    pub fn shell_status(self) -> u64 {
        const STATUS_OF_SIGNAL: u64 = 128;
        match self {
            Self::Exited(status) => u64::from(status),
            Self::Killed(signal) => STATUS_OF_SIGNAL + u64::from(signal),
        }
    }
}

/// What a process does, as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, or waits.
    Runs,
    /// A signal has stopped it; whether its parent was told.
    Stopped {
        /// Which.
        signal: u8,
        /// Whether its parent was told.
        is_told: bool,
    },
    /// It goes on after a stop, and its parent was not told yet.
    Continued,
    /// It has ended; its parent was not told yet.
    Ended(Ending),
}

/// A process, as others see it.
#[derive(Debug)]
pub struct Member {
    /// Its number.
    pub number: u32,
    /// Its place in the family's heap.
    pub seat: usize,
    /// Its environment.
    pub environment: EnvironmentId,
    /// The number of its parent; 0 for the first.
    pub parent: Cell<u32>,
    /// Its process group.
    pub group: Cell<u32>,
    /// Its session.
    pub session: Cell<u32>,
    /// Whether it has executed a program since it was made.
    pub has_executed: Cell<bool>,
    /// The signal that its parent gets when it ends; 0: none.
    pub end_signal: Cell<u8>,
    /// What it executes, as others see it.
    pub shown: RefCell<Rc<Shown>>,
    /// What it does.
    pub state: Cell<State>,
    /// Nanoseconds that it has used, with those of its children; 0 before it has ended.
    pub used: Cell<u64>,
    /// Threads that wait for its children.
    pub children: Rc<WaitQueue>,
    /// A thread that waits until it executes a program or ends: its parent's, after `vfork`.
    pub progress: Rc<WaitQueue>,
    /// Its threads that can go on.
    pub run_queue: Rc<RunQueue>,
    /// Signals that others have sent to it, or to one of its threads, and that it has not looked at.
    pub mail: RefCell<Vec<Letter>>,
}

/// What a process executes, as `/proc` shows it.
#[derive(Debug, Default)]
pub struct Shown {
    /// The last part of its program's name, at most as long as `PR_SET_NAME` allows (prctl(2)).
    pub name: Vec<u8>,
    /// Its arguments, each with a zero behind it.
    pub arguments: Vec<u8>,
    /// Its variables likewise.
    pub variables: Vec<u8>,
    /// The path of its file.
    pub executable: Vec<u8>,
}

/// A signal on its way from one process to another.
#[derive(Clone, Copy, Debug)]
pub struct Letter {
    /// The thread that is to get it; else any.
    pub thread: Option<u32>,
    /// What it tells.
    pub information: Information,
}

impl Member {
    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self.state.get(), State::Ended(_))
    }

    /// Sends it a signal.
    pub fn send(&self, letter: Letter) {
        self.mail.borrow_mut().push(letter);
        self.run_queue.attention.set(true);
        self.run_queue.wake_home();
    }

    /// Tells it what a child has done.
    fn learn(&self, child: &Self, signal: u8, code: u32, status: u8) {
        self.children.wake_all();
        if signal != 0 {
            let mut information = Information::child(code, child.number, u32::from(status));
            information.signal = u32::from(signal);
            self.send(Letter {
                thread: None,
                information,
            });
        }
    }
}

/// Codes of a child's change in `siginfo_t` (Linux man page sigaction(2)).
pub const CLD_EXITED: u32 = 1;
/// A signal has ended it.
pub const CLD_KILLED: u32 = 2;
/// A signal has stopped it.
pub const CLD_STOPPED: u32 = 5;
/// It goes on.
pub const CLD_CONTINUED: u32 = 6;

/// All processes of a run, and what they share.
pub struct Family {
    members: RefCell<BTreeMap<u32, Rc<Member>>>,
    next_number: Cell<u32>,
    /// Free frames.
    pub frames: Rc<RefCell<Frames>>,
    /// What data of the personality starts as.
    pub initial_data: Vec<u8>,
    /// Counts of processes that have ended.
    pub statistics: RefCell<Statistics>,
    /// The streams, or the terminal, of all of them.
    pub outside: Outside,
    /// Locks on files.
    pub locks: Locks,
    /// Programs that are in memory.
    pub programs: Programs,
    /// Where members can be.
    pub places: Rc<RefCell<Places>>,
}

/// Numbers of processes and threads are below this.
const NUMBERS: u32 = 1 << 22;

impl Family {
    /// A family that is one process, the first.
    pub fn new(run_queue: Rc<RunQueue>, outside: Outside) -> (Rc<Self>, Rc<Member>) {
        run_queue.set_home(0, environment::id());
        let first = Rc::new(Member {
            number: FIRST,
            seat: 0,
            environment: environment::id(),
            parent: Cell::new(0),
            group: Cell::new(FIRST),
            session: Cell::new(FIRST),
            has_executed: Cell::new(true),
            end_signal: Cell::new(0),
            shown: RefCell::default(),
            state: Cell::new(State::Runs),
            used: Cell::default(),
            children: WaitQueue::new(),
            progress: WaitQueue::new(),
            run_queue,
            mail: RefCell::default(),
        });
        let family = Rc::new(Self {
            members: RefCell::new(BTreeMap::from([(FIRST, first.clone())])),
            next_number: Cell::new(FIRST + 1),
            frames: Rc::default(),
            initial_data: initial_data(),
            statistics: RefCell::default(),
            programs: RefCell::default(),
            places: Rc::default(),
            outside,
            locks: Locks::default(),
        });
        (family, first)
    }

    /// A number for a process or a thread.
    pub fn take_number(&self) -> u32 {
        let mut number = self.next_number.get();
        while self.member(number).is_some() {
            number = successor(number);
        }
        self.next_number.set(successor(number));
        number
    }

    /// A process by number.
    pub fn member(&self, number: u32) -> Option<Rc<Member>> {
        self.members.borrow().get(&number).cloned()
    }

    /// All processes for which `chosen` is true, those that have ended included, by number.
    pub fn members(&self, chosen: impl Fn(&Member) -> bool) -> Vec<Rc<Member>> {
        let members = self.members.borrow();
        let found = members.values().filter(|member| chosen(member));
        found.cloned().collect()
    }

    /// Whether there is one process only.
    pub fn is_one(&self) -> bool {
        self.members.borrow().len() == 1
    }

    /// Adds a process.
    pub fn add(&self, member: Rc<Member>) {
        self.members.borrow_mut().insert(member.number, member);
    }

    /// Forgets a process, whose parent knows of its end.
    pub fn remove(&self, number: u32) {
        self.members.borrow_mut().remove(&number);
    }

    /// Notes how a process has ended: its children get the first process for a parent, and its own parent is told.
    pub fn end(&self, ended: &Member, ending: Ending) {
        ended.state.set(State::Ended(ending));
        let first = self.member(FIRST);
        for child in self.members(|member| member.parent.get() == ended.number) {
            child.parent.set(FIRST);
            if let (State::Ended(ending), Some(first)) = (child.state.get(), &first) {
                let (code, status) = ending.code();
                first.learn(&child, SIGCHLD as u8, code, status);
            }
        }
        ended.progress.wake_all();
        if let Some(parent) = self.member(ended.parent.get()) {
            let (code, status) = ending.code();
            parent.learn(ended, ended.end_signal.get(), code, status);
        }
    }

    /// Notes that a signal has stopped a process.
    pub fn stop(&self, stopped: &Member, signal: u8) {
        stopped.state.set(State::Stopped {
            signal,
            is_told: false,
        });
        if let Some(parent) = self.member(stopped.parent.get()) {
            parent.learn(stopped, SIGCHLD as u8, CLD_STOPPED, signal);
        }
    }

    /// Notes that a process goes on, if it was stopped.
    pub fn go_on(&self, member: &Member) {
        if !matches!(member.state.get(), State::Stopped { .. }) {
            return;
        }
        member.state.set(State::Continued);
        if let Some(parent) = self.member(member.parent.get()) {
            parent.learn(member, SIGCHLD as u8, CLD_CONTINUED, SIGCONT as u8);
        }
    }
}

/// What data of the personality starts as: it has not changed before there is a process.
fn initial_data() -> Vec<u8> {
    let range = program_memory::initialised_data();
    let mut data = alloc::vec![0; (range.end - range.start) as usize];
    program_memory::read(range.start, &mut data).expect("the personality's own data is there");
    data
}

fn successor(number: u32) -> u32 {
    match number + 1 {
        NUMBERS => FIRST + 1,
        next => next,
    }
}
