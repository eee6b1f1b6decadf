//! Threads of a program: they are the personality's, several in one environment.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::rc::Rc;

use exo_rt::context::Context;

use crate::signal::state::{AlternateStack, ThreadSignals};
use crate::wait::{RunQueue, Wait, WaitQueue, Waited, Waiter, Wake};

/// One thread.
pub struct Thread {
    /// Its number.
    pub number: u32,
    /// Its registers: true while it does not run, and in calls that say that they want them.
    pub context: Box<Context>,
    /// Whether it has made a call that is not done.
    pub calls: bool,
    /// What a call that is done again knows of its wait.
    pub waited: Option<Waited>,
    /// What it waits for.
    wait: Option<Wait>,
    /// How others wake it.
    pub waiter: Rc<Waiter>,
    /// Whether it has ended.
    pub ended: bool,
    /// Its name, as it gave it, with zeros behind.
    pub name: [u8; 16],
    /// Its signals.
    pub signals: ThreadSignals,
    /// Where its number is cleared when it ends, and whoever waits for that woken; 0: nowhere.
    pub clear_at_end: u64,
    /// The head of its list of locks that it may leave behind; 0: none.
    pub robust_list: u64,
}

impl Thread {
    /// A thread that has not run.
    pub fn new(number: u32, context: Box<Context>, run_queue: &Rc<RunQueue>) -> Box<Self> {
        Box::new(Self {
            number,
            context,
            calls: false,
            waited: None,
            wait: None,
            waiter: Waiter::new(number, run_queue.clone()),
            ended: false,
            name: [0; 16],
            signals: ThreadSignals::default(),
            clear_at_end: 0,
            robust_list: 0,
        })
    }

    /// The deadline of this call: that which it had when it was begun, or else a new one.
    pub fn deadline(&self, new: impl FnOnce() -> u64) -> u64 {
        self.waited
            .and_then(|waited| waited.deadline)
            .unwrap_or_else(new)
    }

    /// Whether it can go on: it does not wait, and has not ended.
    pub fn can_run(&self) -> bool {
        self.wait.is_none() && !self.ended
    }

    /// Whether a queue has woken this call.
    pub fn was_woken(&self) -> bool {
        matches!(
            self.waited,
            Some(Waited {
                wake: Wake::Queue(_),
                ..
            })
        )
    }
}

/// All threads of a process: the one that runs, and the others.
pub struct Threads {
    /// The one that runs, or ran last.
    pub current: Box<Thread>,
    /// The others by number.
    pub others: BTreeMap<u32, Box<Thread>>,
    /// Who can go on.
    pub run_queue: Rc<RunQueue>,
    /// Those that wait for signals by name.
    pub signal_queue: Rc<WaitQueue>,
    /// When whose wait ends in any case.
    deadlines: BTreeSet<(u64, u32)>,
    turn_is_over: bool,
    /// When the event comes that was asked for last, in nanoseconds; `None`: it has come.
    pub armed: Option<u64>,
    /// Status with which the first thread has ended: that of the process, when the last one does.
    pub status: u64,
    first: u32,
}

impl Threads {
    /// The first thread of a process, which has this number.
    pub fn new(number: u32) -> Self {
        let run_queue = Rc::new(RunQueue::default());
        Self {
            current: Thread::new(number, Box::new(Context::new(0, 0)), &run_queue),
            others: BTreeMap::new(),
            run_queue,
            signal_queue: WaitQueue::new(),
            deadlines: BTreeSet::new(),
            turn_is_over: false,
            armed: None,
            status: 0,
            first: number,
        }
    }

    /// The only thread of a process that the current thread forks.
    pub fn fork(&self, number: u32) -> Self {
        let mut threads = Self::new(number);
        *threads.current.context = (*self.current.context).clone();
        threads.current.signals = self.current.signals.fork();
        threads
    }

    /// Ends all but the current one, which gets the number of the process, and what it has of its program.
    pub fn keep_current(&mut self, number: u32) {
        self.others.clear();
        let thread = &mut self.current;
        thread.number = number;
        thread.waiter = Waiter::new(number, self.run_queue.clone());
        thread.clear_at_end = 0;
        thread.robust_list = 0;
        thread.signals.stack = AlternateStack::NONE;
        self.first = number;
    }

    /// Adds a thread, which can go on.
    pub fn add(&mut self, thread: Box<Thread>) {
        self.run_queue.add(thread.number);
        self.others.insert(thread.number, thread);
    }

    /// A thread by number.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut Thread> {
        if self.current.number == number {
            return Some(&mut self.current);
        }
        self.others.get_mut(&number).map(|thread| &mut **thread)
    }

    /// Whether there is a thread with this number.
    pub fn has(&self, number: u32) -> bool {
        self.current.number == number || self.others.contains_key(&number)
    }

    /// Whether the current thread is the first of the process.
    pub fn is_first(&self) -> bool {
        self.current.number == self.first
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.others.len() + usize::from(!self.current.ended)
    }

    /// Has the current thread wait.
    pub fn park(&mut self, wait: Wait) {
        let thread = &mut self.current;
        thread.calls = true;
        thread.waiter.enroll(&wait);
        if let Some(deadline) = wait.deadline {
            self.deadlines.insert((deadline, thread.number));
        }
        thread.wait = Some(wait);
    }

    /// Makes the next thread that can go on the current one; false where there is none.
    pub fn switch(&mut self) -> bool {
        while let Some(number) = self.run_queue.take() {
            if number != self.current.number {
                let Some(next) = self.others.remove(&number) else {
                    // It has ended.
                    continue;
                };
                let before = core::mem::replace(&mut self.current, next);
                if !before.ended {
                    self.others.insert(before.number, before);
                }
            }
            self.resume();
            return true;
        }
        false
    }

    /// Says that the current thread gives its turn to the others.
    pub fn give_turn(&mut self) {
        self.turn_is_over = true;
        self.run_queue.attention.set(true);
    }

    /// Lets the next thread run, if the current one has given its turn.
    pub fn end_turn(&mut self) {
        if core::mem::take(&mut self.turn_is_over)
            && self.current.can_run()
            && !self.run_queue.is_empty()
        {
            self.run_queue.add(self.current.number);
            self.switch();
        }
    }

    /// Ends the wait of the current thread, if it had one.
    fn resume(&mut self) {
        let thread = &mut self.current;
        let Some(wait) = thread.wait.take() else {
            return;
        };
        let wake = thread.waiter.withdraw(&wait);
        if let Some(deadline) = wait.deadline {
            self.deadlines.remove(&(deadline, thread.number));
        }
        thread.waited = Some(Waited {
            deadline: wait.deadline,
            moved: wait.moved,
            wake,
        });
    }

    /// Wakes all whose deadline has come.
    pub fn expire(&mut self, now: impl FnOnce() -> u64) {
        if self.deadlines.is_empty() {
            return;
        }
        let now = now();
        while let Some(&(deadline, number)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            if let Some(thread) = self.get_mut(number) {
                thread.waiter.wake(Wake::Deadline);
            }
        }
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }
}
