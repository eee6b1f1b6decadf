//! Places for processes: a seat in the family's heap, an environment, and memory for its own part of the personality.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;

use exo_abi::address::PAGE_SIZE;
use exo_abi::environment::EnvironmentId;
use exo_abi::page_entry::{NO_EXECUTE, PageEntry};
use exo_abi::{Kind, Rights};
use exo_rt::gate::{self, Quotas, Target};
use exo_rt::{environment, family, page_tables, program_memory, tables};

use crate::errno::{Errno, Result};
use crate::loader::Program;
use crate::memory::Memory;
use crate::memory::frames::{Capabilities, Held};
use crate::memory::kept::Kept;
use crate::memory::mapping::Batch;

/// Page tables that a process may have.
const TABLES: u32 = 128;
/// Capabilities that a process may have.
const CAPABILITIES: u32 = 64;

/// Where a process can be.
struct Place {
    number: EnvironmentId,
    /// First frame of its own part of the personality; 0: none yet.
    first: u64,
    /// The environment that waits there for a process.
    parked: Option<Parked>,
}

/// What an environment has that waits for a process: the personality, and by what it does its work.
pub struct Parked {
    /// By what it makes others.
    pub makers: Makers,
    /// Its capabilities for frames.
    pub capabilities: Capabilities,
    /// What the program before has left mapped.
    pub kept: Kept,
    /// That program.
    pub program: Option<Rc<Program>>,
}

/// All places of a family but that of its first process, which the seats are counted from.
#[derive(Default)]
pub struct Places {
    places: Vec<Place>,
    shared: Option<Shared>,
}

/// What a process needs to make others.
#[derive(Clone, Debug)]
pub struct Makers {
    /// The numbers of environments that can be made.
    environments: Held,
    /// What else every process holds: ports.
    others: Vec<Held>,
}

impl Makers {
    /// What the first process started with; `None` where it may not make environments.
    pub fn initial() -> Option<Self> {
        let held = |kind| {
            environment::capabilities_of(kind)
                .map(|(capability, entry)| Held::root(entry.first, entry.count, capability))
        };
        Some(Self {
            environments: held(Kind::Environment).next()?,
            others: held(Kind::Ports).collect(),
        })
    }

    fn share(&mut self, environment: EnvironmentId) -> Result<Self> {
        let share = |held: &mut Held| held.share(environment);
        Ok(Self {
            others: self.others.iter_mut().map(share).collect::<Result<_>>()?,
            environments: self.environments.share(environment)?,
        })
    }
}

/// An environment that has no process yet.
pub struct Made {
    /// Which.
    pub spot: Spot,
    /// What it has.
    pub has: Parked,
}

/// Where a process will be.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// The seat.
    pub seat: usize,
    /// The environment.
    pub target: Target,
    /// Whether it waits for a process already; else it does not run.
    is_parked: bool,
}

impl Spot {
    /// Lets the environment run the process that was handed over.
    pub fn start(&self) -> Result<()> {
        if self.is_parked {
            family::wake(self.seat, self.target.id);
            return Ok(());
        }
        let stack = family::layout().stack;
        gate::environment_start(
            self.target,
            family::first_instruction(),
            stack,
            self.seat as u64,
        )
        .map_err(|_| Errno::EAGAIN)?;
        family::wake_up(self.seat);
        Ok(())
    }
}

impl Places {
    /// Notes that the environment of a seat waits for a process from now on.
    pub fn park(&mut self, seat: usize, parked: Parked) {
        let place = seat
            .checked_sub(1)
            .and_then(|index| self.places.get_mut(index));
        if let Some(place) = place {
            place.parked = Some(parked);
        }
    }

    /// Takes an environment that waits for a process: best one where a program ran before that the process runs too.
    pub fn take_parked(&mut self, makers: &Makers, program: Option<&Rc<Program>>) -> Option<Made> {
        let fits = |place: &Place| match (&place.parked, program) {
            (
                Some(Parked {
                    program: Some(before),
                    ..
                }),
                Some(program),
            ) => Rc::ptr_eq(before, program),
            _ => false,
        };
        let best = self.places.iter().position(fits);
        let index = best.or_else(|| self.places.iter().position(|place| place.parked.is_some()))?;
        let place = self.places.get_mut(index)?;
        Some(Made {
            spot: Spot {
                seat: index + 1,
                target: Target {
                    capability: makers.environments.own,
                    id: place.number,
                },
                is_parked: true,
            },
            has: place.parked.take()?,
        })
    }

    /// Ends an environment that waits for a process; what it had.
    pub fn end_parked(&mut self) -> Option<Parked> {
        let mut places = (1..).zip(&mut self.places);
        let (seat, id, parked) =
            places.find_map(|(seat, place)| Some((seat, place.number, place.parked.take()?)))?;
        let (capability, _) = environment::held_of(Kind::Environment).next()?;
        let _ = gate::environment_end(Target { capability, id }, 0);
        family::leave(seat);
        Some(parked)
    }

    /// Makes an environment with the personality in it.
    pub fn make(&mut self, makers: &mut Makers, memory: &mut Memory, data: &[u8]) -> Result<Made> {
        if self.places.is_empty() {
            let held = makers.environments;
            let numbers = held.first..held.first + held.count.min(family::SEATS as u64 - 1);
            self.places.extend(numbers.map(|number| Place {
                number: EnvironmentId(number as u16),
                first: 0,
                parked: None,
            }));
        }
        let free = self.places.iter_mut().enumerate().find(|(_, place)| {
            tables::environment(place.number)
                .is_some_and(|entry| entry.state == 0 || tables::has_ended(&entry))
        });
        let (index, place) = free.ok_or(Errno::EAGAIN)?;
        let shared = self.shared.get_or_insert_with(Shared::find);
        let layout = family::layout();
        let pages = (layout.own.end - layout.own.start) / PAGE_SIZE;
        if place.first == 0 {
            place.first = memory.take_frames(pages).ok_or(Errno::ENOMEM)?;
        }
        let target = Target {
            capability: makers.environments.own,
            id: place.number,
        };
        let quotas = Quotas {
            frames: 0,
            tables: TABLES,
            capabilities: CAPABILITIES,
        };
        let vcpu = tables::own_environment().vcpu;
        gate::environment_create(target, vcpu, quotas).map_err(|_| Errno::EAGAIN)?;
        let filled = memory
            .capabilities
            .share(place.number)
            .and_then(|capabilities| {
                fill(place.first, memory, data)?;
                shared.map(target, place.first, &capabilities)?;
                let makers = makers.share(place.number)?;
                Ok((capabilities, makers))
            });
        match filled {
            Ok((capabilities, makers)) => Ok(Made {
                spot: Spot {
                    seat: index + 1,
                    target,
                    is_parked: false,
                },
                has: Parked {
                    capabilities,
                    makers,
                    kept: Kept::default(),
                    program: None,
                },
            }),
            Err(error) => {
                let _ = gate::environment_end(target, 0);
                Err(error)
            }
        }
    }
}

/// Makes the personality's own data what it is at a start.
fn fill(first: u64, memory: &Memory, data: &[u8]) -> Result<()> {
    let own = program_memory::data();
    let bytes = own.end - own.start;
    let place = memory.view(first);
    program_memory::write(place, data)?;
    program_memory::zero(place + data.len() as u64, bytes - data.len() as u64)?;
    Ok(())
}

/// Pages of the personality's code and constants: addresses to frames.
#[derive(Debug)]
struct Shared {
    code: BTreeMap<u64, u64>,
    constants: BTreeMap<u64, u64>,
}

impl Shared {
    /// Where they are here, by this environment's page tables.
    fn find() -> Self {
        let pages = family::layout().code.step_by(PAGE_SIZE as usize);
        let pages = pages.filter_map(|page| Some((page, page_tables::page_entry(page)?)));
        let (constants, code): (BTreeMap<_, _>, _) =
            pages.partition(|(_, entry)| entry.has(NO_EXECUTE));
        let frames = |pages: BTreeMap<u64, PageEntry>| {
            pages
                .into_iter()
                .map(|(page, entry)| (page, entry.frame()))
                .collect()
        };
        Self {
            code: frames(code),
            constants: frames(constants),
        }
    }

    /// Maps them, and what else every process has at the same addresses: its own part, at frames from `own` on, and the heap's first pages.
    fn map(&self, target: Target, own: u64, capabilities: &Capabilities) -> Result<()> {
        let range = family::layout().own;
        let of = |frame| capabilities.of(frame);
        let heap = family::first_frame();
        let pages = (range.end - range.start) / PAGE_SIZE;
        let mut batch = Batch::new(target);
        for (pages, rights) in [
            (&self.code, Rights::READ_EXECUTE),
            (&self.constants, Rights::READ),
        ] {
            batch.add_pages(
                pages.iter().map(|(&page, &frame)| (page, frame)),
                rights,
                of,
            )?;
        }
        batch.add(range.start, own, pages, Rights::READ_WRITE, of(own))?;
        batch.flush()?;
        family::map_first(target, of(heap)).map_err(|_| Errno::ENOMEM)
    }
}
