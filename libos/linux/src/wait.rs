//! Waiting: what keeps a thread from going on, and who lets it.
//!
//! A call that cannot be done yet gives [`Stop::Wait`] and has changed nothing. The dispatcher enrolls its thread on the queues that the
//! [`Wait`] names, lets others run, and does the call again, from its start, when a queue or the deadline has woken the thread. Queues lie
//! in what is waited for (a pipe, a futex); who changes that wakes them.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use exo_abi::environment::EnvironmentId;
use exo_rt::{environment, family};

use crate::errno::Errno;

/// Why a call gives no value.
#[derive(Debug)]
pub enum Stop {
    /// It failed.
    Error(Errno),
    /// It cannot be done yet.
    Wait(Wait),
    /// Its thread has ended.
    End,
}

/// What a call gives that may have to wait. One that never does gives a plain [`crate::errno::Result`].
pub type Result<T = u64> = core::result::Result<T, Stop>;

impl From<Errno> for Stop {
    fn from(error: Errno) -> Self {
        Self::Error(error)
    }
}

impl From<Wait> for Stop {
    fn from(wait: Wait) -> Self {
        Self::Wait(wait)
    }
}

/// What a call gives when a signal comes before it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interrupted {
    /// It is done again after a handler that says so (`SA_RESTART`), else it fails with `EINTR`.
    #[default]
    Restart,
    /// It fails with `EINTR` after any handler.
    Fail,
    /// It has done so much.
    Give(u64),
}

/// What a wait is about, where a queue serves several things: the number of one, and bits that a waker may choose by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Number.
    pub number: u64,
    /// Bits.
    pub bits: u32,
}

/// What a thread waits for: any of several things.
#[derive(Debug, Default)]
pub struct Wait {
    /// Each wakes it.
    pub queues: Vec<Rc<WaitQueue>>,
    /// Nanoseconds of [`crate::calls::now`] at which it is woken in any case. The call finds them in [`Waited`] when it is done again.
    pub deadline: Option<u64>,
    /// What the call has done already, in its own terms: bytes, mostly. It finds this again too.
    pub moved: u64,
    /// What it is about, where a queue serves several things.
    pub subject: Subject,
    /// What becomes of the call when a signal comes first.
    pub interrupted: Interrupted,
}

impl Wait {
    /// For one queue.
    pub fn queue(queue: &Rc<WaitQueue>) -> Self {
        Self {
            queues: alloc::vec![queue.clone()],
            ..Self::default()
        }
    }

    /// For a moment, and nothing else.
    pub fn until(deadline: u64) -> Self {
        Self {
            deadline: Some(deadline),
            ..Self::default()
        }
    }
}

/// What a call that is done again knows of its wait.
#[derive(Clone, Copy, Debug)]
pub struct Waited {
    /// The deadline that it gave.
    pub deadline: Option<u64>,
    /// What it had done.
    pub moved: u64,
    /// What woke it.
    pub wake: Wake,
}

/// What ends a wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wake {
    /// Nothing special: look again.
    #[default]
    Nothing,
    /// One of the queues, by what its owner wanted to tell.
    Queue(u64),
    /// The deadline.
    Deadline,
}

/// Threads of one process that can go on, in the order in which they will. Shared with everything that may wake them.
#[derive(Debug, Default)]
pub struct RunQueue {
    ready: RefCell<VecDeque<u32>>,
    /// Whose it is: seat and number of an environment; 0: not told, and so nobody else's.
    home: Cell<(usize, u16)>,
    /// Something has happened that a running thread must not miss: a signal, the end of its turn.
    pub attention: Cell<bool>,
}

impl RunQueue {
    /// Lets a thread go on when those before it had their turn.
    pub fn add(&self, thread: u32) {
        self.ready.borrow_mut().push_back(thread);
        self.wake_home();
    }

    /// Says in which environment, at which seat, its threads are.
    pub fn set_home(&self, seat: usize, environment: EnvironmentId) {
        self.home.set((seat, environment.0));
    }

    /// Has the environment look, if it is another.
    pub fn wake_home(&self) {
        let (seat, number) = self.home.get();
        let home = EnvironmentId(number);
        if home != EnvironmentId::NOBODY && home != environment::id() {
            family::wake(seat, home);
        }
    }

    /// The next thread.
    pub fn take(&self) -> Option<u32> {
        self.ready.borrow_mut().pop_front()
    }

    /// Whether no thread waits for its turn.
    pub fn is_empty(&self) -> bool {
        self.ready.borrow().is_empty()
    }
}

/// A thread, as those see it who may wake it.
#[derive(Debug)]
pub struct Waiter {
    /// Its number.
    pub thread: u32,
    run_queue: Rc<RunQueue>,
    waits: Cell<bool>,
    wake: Cell<Wake>,
    subject: Cell<Subject>,
    /// The queue to which it was moved from the one on which it enrolled.
    moved_to: RefCell<Option<Rc<WaitQueue>>>,
}

impl Waiter {
    /// That of a thread that does not wait.
    pub fn new(thread: u32, run_queue: Rc<RunQueue>) -> Rc<Self> {
        Rc::new(Self {
            thread,
            run_queue,
            waits: Cell::new(false),
            wake: Cell::new(Wake::Nothing),
            subject: Cell::default(),
            moved_to: RefCell::new(None),
        })
    }

    /// Lets the thread go on; false where it does not wait, or was woken already.
    pub fn wake(&self, reason: Wake) -> bool {
        if !self.waits.replace(false) {
            return false;
        }
        self.wake.set(reason);
        self.run_queue.add(self.thread);
        true
    }

    /// Whether it waits, and nothing has woken it yet.
    pub fn waits(&self) -> bool {
        self.waits.get()
    }

    /// Begins a wait.
    pub fn enroll(self: &Rc<Self>, wait: &Wait) {
        self.waits.set(true);
        self.subject.set(wait.subject);
        for queue in &wait.queues {
            queue.0.borrow_mut().push_back(self.clone());
        }
    }

    /// Ends a wait; what woke the thread.
    pub fn withdraw(self: &Rc<Self>, wait: &Wait) -> Wake {
        self.waits.set(false);
        for queue in wait.queues.iter().chain(&self.moved_to.take()) {
            let mut queue = queue.0.borrow_mut();
            if let Some(place) = queue.iter().position(|waiter| Rc::ptr_eq(waiter, self)) {
                queue.remove(place);
            }
        }
        self.wake.take()
    }
}

/// Threads that wait for one thing, in the order in which they came. It lies in an `Rc`, next to that thing or in it.
#[derive(Debug, Default)]
pub struct WaitQueue(RefCell<VecDeque<Rc<Waiter>>>);

impl WaitQueue {
    /// Nobody waits.
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Wakes whoever waits longest; whether there was one.
    pub fn wake_one(&self) -> bool {
        self.wake(1, |_| true) == 1
    }

    /// Wakes everybody.
    pub fn wake_all(&self) {
        self.wake(u64::MAX, |_| true);
    }

    /// Wakes up to `count` of those whom `chosen` chooses by what they wait for; how many.
    pub fn wake(&self, count: u64, chosen: impl Fn(Subject) -> bool) -> u64 {
        let mut woken = 0;
        self.0.borrow_mut().retain(|waiter| {
            let take = woken < count && chosen(waiter.subject.get());
            if take && waiter.wake(Wake::Queue(0)) {
                woken += 1;
            }
            !take
        });
        woken
    }

    /// Has up to `count` of those who wait for `subject` wait for another one, on another queue; how many.
    pub fn requeue(&self, count: u64, subject: u64, target: &Rc<Self>, other: u64) -> u64 {
        let mut moved = Vec::new();
        self.0.borrow_mut().retain(|waiter| {
            let mut about = waiter.subject.get();
            let take = (moved.len() as u64) < count && waiter.waits() && about.number == subject;
            if take {
                about.number = other;
                waiter.subject.set(about);
                *waiter.moved_to.borrow_mut() = Some(target.clone());
                moved.push(waiter.clone());
            }
            !take
        });
        let count = moved.len() as u64;
        target.0.borrow_mut().extend(moved);
        count
    }
}
