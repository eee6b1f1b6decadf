//! The host's policy of revocation: how much is asked of whom, and what has become of it. The kernel only knows the mechanism.

use std::time::{Duration, Instant};

use exo_abi::Error as Refusal;
use exo_abi::revocation::{RevocationEvent, RevocationKind};
use serde::Serialize;

use super::client::{Client, unexpected};
use super::protocol::{Answer, Request};
use super::snapshot::{RevocationState, Snapshot};
use crate::error::Error;

/// How long the kernel may take beyond the deadline. It takes bindings in batches, and runs slowly on some hosts.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time between two looks at the log.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revoked {
    /// Number of the request.
    pub serial: u64,
    /// Name of the environment.
    pub environment: String,
    /// Name of a [`RevocationKind`].
    pub kind: &'static str,
    /// How much was asked.
    pub asked: u64,
    /// Bindings that were taken by force.
    pub taken_by_force: u64,
    /// What was not to be had.
    pub kept: u64,
    /// Why the kernel did not ask at all; nothing where it did.
    pub refused: Option<String>,
}

/// What became of a change of the limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resized {
    /// Frames that environments may own now.
    pub frames_limit: u64,
    /// Frames that they own.
    pub frames_owned: u64,
    /// What was asked back.
    pub revoked: Vec<Revoked>,
}

/// Asks an environment, by name or number, to give something back; waits until it has, or has lost it.
pub fn revoke(
    client: &Client,
    environment: &str,
    kind: RevocationKind,
    count: u64,
    deadline: Duration,
) -> Result<Revoked, Error> {
    let snapshot = client.snapshot()?;
    let number = environment.parse().ok();
    let mut found = snapshot.environments.iter();
    let found = found.find(|one| one.name == environment || Some(one.number) == number);
    let Some(found) = found else {
        let names: Vec<_> = snapshot
            .environments
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        return Err(Error::MissingInput(format!(
            "machine {} has no environment `{environment}`; it has: {}",
            client.name,
            names.join(", ")
        )));
    };
    let asked = ask(client, found.number, &found.name, kind, count, deadline)?;
    await_end(client, asked, deadline)
}

/// Moves the limit of frames by so many. Where environments own more than it then allows, each that owns more than its guaranteed frames
/// is asked for a part of the excess, in proportion to that.
pub fn resize(client: &Client, frames: i64, deadline: Duration) -> Result<Resized, Error> {
    let before = client.snapshot()?;
    let all = before.machine.memory_kib / 4;
    let limit = before.summary.frames_limit.checked_add_signed(frames);
    let Some(limit) = limit.filter(|&limit| limit <= all) else {
        return Err(Error::Usage(format!(
            "environments may own {} frames of 4 KiB of this machine, which has {all}; ask for less",
            before.summary.frames_limit
        )));
    };
    let serial = send(client, Request::Limit { frames: limit })?;
    let mut snapshot = wait_for(client, Duration::ZERO, |snapshot| {
        events(snapshot, serial).next().is_some()
    })?;
    let mut asked = Vec::new();
    for (number, name, count) in shares(&snapshot) {
        asked.push(ask(
            client,
            number,
            &name,
            RevocationKind::Frames,
            count,
            deadline,
        )?);
    }
    let mut revoked = Vec::new();
    for one in asked {
        revoked.push(await_end(client, one, deadline)?);
        snapshot = client.snapshot()?;
    }
    Ok(Resized {
        frames_limit: snapshot.summary.frames_limit,
        frames_owned: snapshot.summary.frames_owned,
        revoked,
    })
}

/// Who is to give back how many frames: number, name, count.
fn shares(snapshot: &Snapshot) -> Vec<(u16, String, u64)> {
    let summary = &snapshot.summary;
    let excess = u128::from(summary.frames_owned.saturating_sub(summary.frames_limit));
    let own = |frames: u32, guaranteed: u32| u128::from(frames.saturating_sub(guaranteed));
    let all = snapshot.environments.iter();
    let all: u128 = all.map(|one| own(one.frames, one.frames_guaranteed)).sum();
    let excess = excess.min(all);
    let mut given = 0;
    let mut so_far = 0;
    let mut shares = Vec::new();
    for one in &snapshot.environments {
        // By the sums so far, so that the shares add up to the excess.
        so_far += own(one.frames, one.frames_guaranteed);
        let due = (excess * so_far).checked_div(all).unwrap_or(0);
        let count = (due - given) as u64;
        given = due;
        if count != 0 {
            shares.push((one.number, one.name.clone(), count));
        }
    }
    shares
}

fn ask(
    client: &Client,
    number: u16,
    name: &str,
    kind: RevocationKind,
    count: u64,
    deadline: Duration,
) -> Result<Revoked, Error> {
    let serial = send(
        client,
        Request::Revoke {
            environment: number,
            kind: kind.name().into(),
            count,
            deadline_us: u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX),
        },
    )?;
    Ok(Revoked {
        serial,
        environment: name.into(),
        kind: kind.name(),
        asked: count,
        taken_by_force: 0,
        kept: 0,
        refused: None,
    })
}

fn send(client: &Client, request: Request) -> Result<u64, Error> {
    match client.ask(request)? {
        Answer::Asked { serial } => Ok(serial),
        other => Err(unexpected(other)),
    }
}

/// Waits for the last event of a request.
fn await_end(client: &Client, mut asked: Revoked, deadline: Duration) -> Result<Revoked, Error> {
    let serial = asked.serial;
    let is_last = |event: &RevocationState| {
        let last = [
            RevocationEvent::Given,
            RevocationEvent::Ended,
            RevocationEvent::Refused,
        ];
        last.iter().any(|last| last.name() == event.event)
    };
    let snapshot = wait_for(client, deadline, |snapshot| {
        events(snapshot, serial).any(is_last)
    })?;
    for event in events(&snapshot, serial) {
        if event.event == RevocationEvent::Taken.name() {
            asked.taken_by_force += 1;
        } else if event.event == RevocationEvent::Ended.name() {
            asked.kept = event.count;
        } else if event.event == RevocationEvent::Refused.name() {
            asked.refused = Some(match Refusal::from_number(event.first) {
                Some(Refusal::InUse) => "it has another request open".into(),
                Some(Refusal::BadState) => "it has ended".into(),
                other => other.map_or("unknown reason", Refusal::name).into(),
            });
        }
    }
    Ok(asked)
}

/// The events of one request, in order.
fn events(snapshot: &Snapshot, serial: u64) -> impl Iterator<Item = &RevocationState> {
    let all = snapshot.revocations.iter();
    all.filter(move |event| u64::from(event.serial) == serial)
}

/// Looks until `done`.
fn wait_for(
    client: &Client,
    deadline: Duration,
    done: impl Fn(&Snapshot) -> bool,
) -> Result<Snapshot, Error> {
    let end = Instant::now() + deadline + PATIENCE;
    loop {
        let snapshot = client.snapshot()?;
        if done(&snapshot) {
            return Ok(snapshot);
        }
        if Instant::now() > end {
            return Err(Error::System(format!(
                "the kernel of machine {} has not done what it was asked; exo top --once shows what it does instead",
                client.name
            )));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::text::tests::snapshot;

    #[test]
    fn shares_are_in_proportion_to_what_is_not_guaranteed() {
        let mut one = snapshot();
        one.summary.frames_owned = 1000;
        let mut of = |frames: [u32; 2], guaranteed: [u32; 2], limit: u64| {
            for (index, environment) in one.environments.iter_mut().enumerate() {
                environment.frames = frames[index];
                environment.frames_guaranteed = guaranteed[index];
            }
            one.summary.frames_limit = limit;
            let shares = shares(&one);
            shares
                .into_iter()
                .map(|(number, _, count)| (number, count))
                .collect::<Vec<_>>()
        };
        assert_eq!(of([400, 600], [100, 0], 1000), []);
        assert_eq!(of([400, 600], [100, 0], 990), [(1, 3), (2, 7)]);
        assert_eq!(of([400, 600], [400, 0], 990), [(2, 10)]);
        // No more than there is.
        assert_eq!(of([400, 600], [399, 598], 0), [(1, 1), (2, 2)]);
        assert_eq!(of([400, 600], [400, 600], 0), []);
    }
}
