//! A snapshot as text for people.

use std::fmt::Write as _;
use std::time::Duration;

use super::snapshot::{EnvironmentState, FunctionState, MachineState, Snapshot};

/// Events of revocation that are shown.
const REVOCATIONS_SHOWN: usize = 16;

/// Columns of text: the first row is the head. Numbers are aligned to the right.
pub struct Columns(pub Vec<Vec<String>>);

impl std::fmt::Display for Columns {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..count)
            .map(|column| {
                let cells = self.0.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let right: Vec<bool> = (0..count)
            .map(|column| is_number(&self.0, column))
            .collect();
        for row in &self.0 {
            let mut line = String::new();
            for ((cell, &width), &right) in row.iter().zip(&widths).zip(&right) {
                if right {
                    write!(line, "{cell:>width$}  ")?;
                } else {
                    write!(line, "{cell:<width$}  ")?;
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Whether a column holds numbers, below its head.
pub fn is_number(rows: &[Vec<String>], column: usize) -> bool {
    let mut cells = rows.iter().skip(1).filter_map(|row| row.get(column));
    cells.all(|cell| cell.starts_with(|first: char| first.is_ascii_digit()))
}

/// The machines that run, one line each.
pub fn list(machines: &[Snapshot]) -> String {
    let mut rows = vec![words(&[
        "NAME", "IMAGE", "PROCESS", "VCPUS", "MEMORY", "RESIDENT", "ALIVE", "RUNNING",
    ])];
    rows.extend(machines.iter().map(|snapshot| {
        let machine = &snapshot.machine;
        vec![
            machine.name.clone(),
            machine.image.clone(),
            machine.process.to_string(),
            snapshot.vcpus.len().to_string(),
            kib(machine.memory_kib),
            machine.resident_kib.map_or("?".into(), kib),
            snapshot.summary.environments_alive.to_string(),
            elapsed(machine),
        ]
    }));
    Columns(rows).to_string()
}

/// A table with a head; it may be empty.
pub struct Section {
    /// What it shows.
    pub title: &'static str,
    /// The first row is the head.
    pub rows: Vec<Vec<String>>,
}

/// The tables of a machine that have anything to show, in the order in which they are shown. With an earlier snapshot, rates since then.
pub fn sections(snapshot: &Snapshot, before: Option<&Snapshot>) -> Vec<Section> {
    let sections = [
        Section {
            title: "environments",
            rows: environments(snapshot, before),
        },
        Section {
            title: "functions",
            rows: functions(snapshot),
        },
        Section {
            title: "slices",
            rows: slices(snapshot),
        },
        Section {
            title: "queues and extents",
            rows: bindings(snapshot),
        },
        Section {
            title: "revocations",
            rows: revocations(snapshot),
        },
    ];
    sections
        .into_iter()
        .filter(|section| section.rows.len() > 1)
        .collect()
}

/// One machine: itself, then its environments.
pub fn status(snapshot: &Snapshot) -> String {
    format!(
        "{}\n{}",
        head(snapshot),
        Columns(environments(snapshot, None))
    )
}

/// All that there is.
pub fn everything(snapshot: &Snapshot) -> String {
    let mut text = head(snapshot);
    for section in sections(snapshot, None) {
        text.push('\n');
        text.push_str(&Columns(section.rows).to_string());
    }
    text
}

/// The machine in three lines.
pub fn head(snapshot: &Snapshot) -> String {
    let machine = &snapshot.machine;
    let summary = &snapshot.summary;
    let running: Vec<String> = snapshot
        .vcpus
        .iter()
        .enumerate()
        .map(|(index, &number)| format!("{index}: {}", name(snapshot, number, "idle")))
        .collect();
    format!(
        "{} ({}), process {}, running {}, {} exits to the VMM{}\n\
         memory {}, resident {}, {} of {} frames owned, {} free blocks of 2 MiB, {} free tables, {} capabilities\n\
         vCPUs  {}\n",
        machine.name,
        machine.image,
        machine.process,
        elapsed(machine),
        machine.vm_exits,
        if machine.consistent {
            ""
        } else {
            ", tables changed while they were read"
        },
        kib(machine.memory_kib),
        machine.resident_kib.map_or("?".into(), kib),
        summary.frames_owned,
        summary.frames_limit,
        summary.free_blocks,
        summary.free_tables,
        summary.capabilities_used,
        running.join(", "),
    )
}

/// The environments, with a head.
fn environments(snapshot: &Snapshot, before: Option<&Snapshot>) -> Vec<Vec<String>> {
    let calls = if before.is_some() { "CALLS/S" } else { "CALLS" };
    let mut rows = vec![words(&[
        "#",
        "ENVIRONMENT",
        "STATE",
        "VCPU",
        "TIME",
        calls,
        "UPCALLS",
        "INTERRUPTS",
        "EXITS",
        "FRAMES",
        "TABLES",
        "CAPABILITIES",
        "DMA",
    ])];
    rows.extend(snapshot.environments.iter().map(|one| {
        let calls = match before {
            Some(before) => {
                let old = find(before, one.number).map_or(0, |old| old.calls);
                rate(one.calls.saturating_sub(old), snapshot, before)
            }
            None => one.calls,
        };
        vec![
            one.number.to_string(),
            one.name.clone(),
            one.state.clone(),
            one.vcpu.to_string(),
            milliseconds(one.ticks, snapshot),
            calls.to_string(),
            one.upcalls.to_string(),
            one.interrupts.to_string(),
            one.vm_exits.to_string(),
            of(one.frames, one.frames_quota),
            of(one.tables, one.tables_quota),
            of(one.capabilities, one.capabilities_quota),
            of(one.dma_mappings, one.dma_mappings_quota),
        ]
    }));
    rows
}

/// How many a second, between two snapshots.
fn rate(count: u64, now: &Snapshot, before: &Snapshot) -> u64 {
    let elapsed = now
        .machine
        .running_us
        .saturating_sub(before.machine.running_us);
    (u128::from(count) * 1_000_000)
        .checked_div(u128::from(elapsed))
        .map_or(0, |rate| rate as u64)
}

/// The functions and their queues, with a head.
fn functions(snapshot: &Snapshot) -> Vec<Vec<String>> {
    let mut rows = vec![words(&[
        "FUNCTION",
        "QUEUE",
        "OWNER",
        "REQUESTS",
        "BYTES",
        "DOORBELLS",
        "INTERRUPTS",
        "STOPPED",
    ])];
    for function in &snapshot.functions {
        rows.extend(queues(snapshot, function));
    }
    rows
}

/// The slots of each vCPU by owner, with a head; nothing where nobody owns any.
fn slices(snapshot: &Snapshot) -> Vec<Vec<String>> {
    let mut rows = vec![words(&["VCPU", "SLOTS", "OWNER", "TIME"])];
    if snapshot.slices.iter().any(|slices| slices.owner != 0) {
        rows.extend(snapshot.slices.iter().map(|slices| {
            vec![
                slices.vcpu.to_string(),
                slices.slots.to_string(),
                name(snapshot, slices.owner, "-").to_owned(),
                milliseconds(slices.ticks, snapshot),
            ]
        }));
    }
    rows
}

/// Queues and disk extents, with a head.
fn bindings(snapshot: &Snapshot) -> Vec<Vec<String>> {
    let mut rows = vec![words(&["KIND", "HOLDER", "OF", "FIRST", "COUNT", "BOUND"])];
    rows.extend(snapshot.bindings.iter().map(|binding| {
        let function = snapshot.functions.get(binding.resource as usize);
        let of = match (binding.kind.as_str(), function) {
            ("queue", Some(function)) => function.name.clone(),
            (_, _) => format!("disk {}", binding.resource),
        };
        vec![
            binding.kind.clone(),
            name(snapshot, binding.holder, "-").to_owned(),
            of,
            binding.first.to_string(),
            binding.count.to_string(),
            if binding.bound { "yes" } else { "no" }.into(),
        ]
    }));
    rows
}

/// Ticks of the time stamp counter as milliseconds.
fn milliseconds(ticks: u64, snapshot: &Snapshot) -> String {
    let time = ticks.checked_div(snapshot.machine.tsc_khz);
    time.map_or("?".into(), |time| format!("{time} ms"))
}

/// The last events of revocation, the newest first, with a head.
fn revocations(snapshot: &Snapshot) -> Vec<Vec<String>> {
    let mut rows = vec![words(&[
        "EVENT",
        "REQUEST",
        "WHAT",
        "ENVIRONMENT",
        "KIND",
        "FIRST",
        "COUNT",
    ])];
    let last = snapshot.revocations.iter().rev().take(REVOCATIONS_SHOWN);
    rows.extend(last.map(|event| {
        vec![
            event.number.to_string(),
            event.serial.to_string(),
            event.event.clone(),
            name(snapshot, event.environment, "-").to_owned(),
            event.kind.clone(),
            format!("{:#x}", event.first),
            event.count.to_string(),
        ]
    }));
    rows
}

fn queues(snapshot: &Snapshot, function: &FunctionState) -> impl Iterator<Item = Vec<String>> {
    let owner = name(snapshot, function.owner, "-").to_owned();
    function
        .queues
        .iter()
        .enumerate()
        .map(move |(index, queue)| {
            vec![
                function.name.clone(),
                index.to_string(),
                owner.clone(),
                queue.requests.to_string(),
                queue.bytes.to_string(),
                queue.doorbells.to_string(),
                queue.interrupts.to_string(),
                match queue.stop_reason.as_str() {
                    "none" => "-".into(),
                    reason => reason.into(),
                },
            ]
        })
}

/// The name of an environment, or what stands for nobody.
fn name<'s>(snapshot: &'s Snapshot, number: u16, nobody: &'s str) -> &'s str {
    find(snapshot, number).map_or(nobody, |one| one.name.as_str())
}

/// The environment with this number. Those of the image have the first ones, each in its place.
fn find(snapshot: &Snapshot, number: u16) -> Option<&EnvironmentState> {
    let place = usize::from(number).checked_sub(1)?;
    let mut all = snapshot.environments.iter().take(place + 1).rev();
    all.find(|one| one.number == number)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn of(held: u32, quota: u32) -> String {
    format!("{held}/{quota}")
}

fn kib(kib: u64) -> String {
    if kib >= 10 << 10 {
        format!("{} MiB", kib >> 10)
    } else {
        format!("{kib} KiB")
    }
}

fn elapsed(machine: &MachineState) -> String {
    let time = Duration::from_micros(machine.running_us);
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!(
            "{}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        ),
    }
}

#[cfg(test)]
#[path = "text_test.rs"]
pub(super) mod tests;
