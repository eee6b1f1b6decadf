//! A running machine as its control socket knows it: what it shows, and what it can be asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use exo_abi::address::PAGE_SIZE;
use exo_abi::layout::Layout;
use exo_abi::revocation::RevocationKind;

use super::protocol::{Answer, Request};
use super::snapshot::{
    EnvironmentState, FunctionState, MachineState, RevocationState, Snapshot, SummaryState,
    read_consistently,
};
use crate::cli::exit_status;
use crate::devices::Devices;
use crate::devices::requests::Wish;
use crate::machine::Machine;
use crate::machine::processor::{ExitCounts, Surroundings};
use crate::memory;

/// A machine as its control socket knows it.
pub struct Watched {
    name: String,
    image: String,
    started: Instant,
    surroundings: Arc<Surroundings>,
    layout: Layout,
    memory: u64,
    tsc_khz: u64,
    vcpus: u32,
    devices: Option<Arc<Devices>>,
}

impl Watched {
    /// A machine that was let go at `started`.
    pub fn new(
        name: &str,
        image: &str,
        started: Instant,
        machine: &Machine,
        devices: Option<Arc<Devices>>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            image: image.to_owned(),
            started,
            surroundings: machine.surroundings(),
            layout: machine.map.layout,
            memory: machine.map.memory,
            tsc_khz: machine.tsc_khz,
            vcpus: machine.vcpus(),
            devices,
        }
    }

    /// What it answers to a request.
    pub fn answer(&self, request: &Request) -> Answer {
        match self.wish(request) {
            Ok(Some(wish)) => match &self.devices {
                Some(devices) => Answer::Asked {
                    serial: devices.requests().ask(wish),
                },
                None => refused("this machine has no control device"),
            },
            Ok(None) => Answer::Snapshot(Box::new(self.snapshot())),
            Err(reason) => refused(&reason),
        }
    }

    /// What is to be asked of the kernel; nothing for who only looks.
    fn wish(&self, request: &Request) -> Result<Option<Wish>, String> {
        match *request {
            Request::Snapshot => {
                // Who waits for an answer of the kernel looks again and again.
                if let Some(devices) = &self.devices {
                    devices.requests().remind();
                }
                Ok(None)
            }
            Request::Limit { frames } => {
                let all = self.memory / PAGE_SIZE;
                if frames > all {
                    return Err(format!(
                        "{frames} frames are more than this machine has ({all})"
                    ));
                }
                Ok(Some(Wish::Limit { frames }))
            }
            Request::Revoke {
                environment,
                ref kind,
                count,
                deadline_us,
            } => {
                let found = RevocationKind::ALL.iter().find(|one| one.name() == kind);
                let Some(&kind) = found else {
                    return Err(format!(
                        "there is no kind `{kind}`; use the same exo for both"
                    ));
                };
                let known = (1..=self.layout.environments.count).contains(&environment.into());
                if !known || count == 0 {
                    return Err("nothing to ask, or nobody of whom".into());
                }
                if self.tsc_khz == 0 {
                    return Err("the host does not tell how fast time stamps are, so there are no deadlines".into());
                }
                let ticks = u128::from(deadline_us) * u128::from(self.tsc_khz) / 1000;
                Ok(Some(Wish::Revoke {
                    environment,
                    kind: kind as u8,
                    count,
                    ticks: u64::try_from(ticks).unwrap_or(u64::MAX),
                }))
            }
        }
    }

    /// How it is now.
    pub fn snapshot(&self) -> Snapshot {
        let guest = &self.surroundings.memory;
        let (tables, consistent) = read_consistently(guest, &self.layout);
        let exits: Vec<u64> = self.surroundings.exits.iter().map(total).collect();
        let functions = self.devices.as_ref();
        let functions = functions.map_or(Vec::new(), |devices| devices.statistics());
        Snapshot {
            machine: MachineState {
                name: self.name.clone(),
                image: self.image.clone(),
                process: std::process::id(),
                running_us: self.started.elapsed().as_micros() as u64,
                tsc_khz: self.tsc_khz,
                memory_kib: self.memory >> 10,
                resident_kib: memory::process_kib("VmRSS"),
                vm_exits: exits.iter().sum(),
                consistent,
            },
            summary: SummaryState {
                free_blocks: tables.summary.free_blocks,
                split_frames_used: tables.summary.split_frames_used,
                free_tables: tables.summary.free_tables,
                capabilities_used: tables.summary.capabilities_used,
                environments_alive: tables.summary.environments_alive,
                frames_owned: tables.summary.frames_owned,
                frames_limit: tables.summary.frames_limit,
            },
            vcpus: tables
                .summary
                .running
                .iter()
                .take(self.vcpus as usize)
                .map(|running| running.0)
                .collect(),
            environments: (1..)
                .zip(&tables.environments)
                .filter(|(_, environment)| environment.was_used())
                .map(|(number, environment)| {
                    let exits = exits.get(usize::from(number)).copied().unwrap_or(0);
                    EnvironmentState::new(number, environment, exits)
                })
                .collect(),
            functions: functions
                .iter()
                .zip(&tables.owners)
                .map(|(function, owner)| FunctionState::new(function, *owner))
                .collect(),
            slices: tables.slices,
            bindings: tables.bindings,
            revocations: tables
                .revocations
                .iter()
                .map(RevocationState::new)
                .collect(),
        }
    }
}

fn refused(reason: &str) -> Answer {
    Answer::Refused {
        status: exit_status::USAGE,
        reason: reason.into(),
    }
}

fn total(counts: &ExitCounts) -> u64 {
    let kinds = [&counts.memory, &counts.port, &counts.other];
    kinds.iter().map(|kind| kind.load(Ordering::Relaxed)).sum()
}
