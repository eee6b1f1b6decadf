//! Fork: a process like another, in an environment of its own.

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

use exo_rt::{family, gate, vdso};

use crate::calls::program;
use crate::errno::{Errno, Result};
use crate::family::{Member, State};
use crate::futex::Futexes;
use crate::place::{Made, Parked, Spot};
use crate::process::{FIRST, Process};
use crate::signal::timers::Timers;
use crate::statistics::Statistics;
use crate::usage::Usage;
use crate::wait::WaitQueue;

/// What a new process has otherwise than its maker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// The signal that its maker gets when it ends; 0: none.
    pub end_signal: u8,
    /// Its stack pointer; 0: the same.
    pub stack: u64,
    /// Its base of FS.
    pub storage: Option<u64>,
    /// Where its number is written in its memory; 0: nowhere.
    pub number_address: u64,
    /// Where that is cleared when it ends; 0: nowhere.
    pub clear_address: u64,
}

/// What is handed over to a process that starts.
struct Start {
    process: Process,
    number_address: u64,
}

/// Takes what was handed over to the process at a seat.
pub fn receive(seat: usize) -> Option<Process> {
    let Start {
        mut process,
        number_address,
    } = family::receive(seat)?;
    process.usage = Usage::start();
    vdso::start(process.tree.store.epoch());
    if number_address != 0 {
        let number = process.member.number;
        // As under Linux, nobody is told where that goes wrong.
        let _ = program::write(&mut process, number_address, &number.to_le_bytes());
    }
    Some(process)
}

impl Process {
    /// A process like this one, whose only thread is a copy of the current one. It runs from now on, and gets 0 for a value.
    pub fn fork(&mut self, wanted: &Wanted) -> Result<Rc<Member>> {
        let makers = self.makers.as_mut().ok_or(Errno::EAGAIN)?;
        let family = self.family.clone();
        if self.member.number == FIRST {
            let memory = &mut self.memory;
            let mut frames = memory.frames.borrow_mut();
            frames.take_rest(&mut memory.capabilities);
        }
        let parked = family
            .places
            .borrow_mut()
            .take_parked(makers, self.program.as_ref());
        if let Some(made) = parked
            && let Ok(member) = self.fork_to(made, wanted)
        {
            return Ok(member);
        }
        let makers = self.makers.as_mut().ok_or(Errno::EAGAIN)?;
        let made = loop {
            let mut places = family.places.borrow_mut();
            let made = places.make(makers, &mut self.memory, &family.initial_data);
            drop(places);
            if made.is_ok() || !self.memory.take_from_parked() {
                break made?;
            }
        };
        self.fork_to(made, wanted)
    }

    /// A process like this one in an environment, which is ended where that fails: it is not known what is mapped there.
    fn fork_to(&mut self, made: Made, wanted: &Wanted) -> Result<Rc<Member>> {
        let Spot { seat, target, .. } = made.spot;
        let forked = self.fork_into(made, wanted);
        if forked.is_err() {
            let _ = gate::environment_end(target, 0);
            family::leave(seat);
        }
        forked
    }

    fn fork_into(&mut self, Made { spot, has }: Made, wanted: &Wanted) -> Result<Rc<Member>> {
        let number = self.family.take_number();
        let mut threads = self.threads.fork(number);
        threads.run_queue.set_home(spot.seat, spot.target.id);
        let thread = &mut threads.current;
        thread.context.registers.rax = 0;
        if wanted.stack != 0 {
            thread.context.registers.rsp = wanted.stack;
        }
        if let Some(base) = wanted.storage {
            thread.context.thread_base = base;
        }
        thread.clear_at_end = wanted.clear_address;
        let member = Rc::new(Member {
            number,
            seat: spot.seat,
            environment: spot.target.id,
            parent: Cell::new(self.member.number),
            group: self.member.group.clone(),
            session: self.member.session.clone(),
            has_executed: Cell::new(false),
            end_signal: Cell::new(wanted.end_signal),
            shown: self.member.shown.clone(),
            state: Cell::new(State::Runs),
            used: Cell::default(),
            children: WaitQueue::new(),
            progress: WaitQueue::new(),
            run_queue: threads.run_queue.clone(),
            mail: RefCell::default(),
        });
        let Parked {
            makers,
            capabilities,
            kept,
            ..
        } = has;
        let memory = self.memory.fork(spot.target, capabilities, kept)?;
        let child = Self {
            options: self.options.clone(),
            family: self.family.clone(),
            member: member.clone(),
            makers: Some(makers),
            ended: None,
            threads,
            futexes: Futexes::default(),
            memory,
            tree: self.tree.clone(),
            root: self.root.clone(),
            directory: self.directory.clone(),
            descriptors: self.descriptors.clone(),
            mask: self.mask,
            signals: self.signals.fork(),
            program: self.program.clone(),
            late: self.late.clone(),
            statistics: Statistics::default(),
            usage: Usage::default(),
            image: self.image.clone(),
            timers: Timers::default(),
            credentials: self.credentials,
            executable: self.executable.clone(),
        };
        let start = Start {
            process: child,
            number_address: wanted.number_address,
        };
        family::send(spot.seat, start);
        if let Err(error) = spot.start() {
            if let Some(mut start) = family::receive::<Start>(spot.seat) {
                start.process.memory.give_back();
            }
            return Err(error);
        }
        self.family.add(member.clone());
        Ok(member)
    }
}
