//! `exo ctl`: shows the machines that run, and asks one of them to change.

use std::time::Duration;

use clap::{Args, Subcommand};
use exo_abi::address::PAGE_SIZE;
use exo_abi::revocation::RevocationKind;

use super::exit_status;
use crate::error::Error;
use crate::image::size::Size;
use crate::observe::client::Client;
use crate::observe::revocation::{self, Resized, Revoked};
use crate::observe::snapshot::Snapshot;
use crate::observe::text;

/// Options of `exo ctl`.
#[derive(Debug, Args)]
pub struct CtlOptions {
    /// Name of the machine; need not be given where only one runs
    #[arg(long, value_name = "NAME", global = true)]
    pub name: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to ask.
    #[command(subcommand)]
    pub order: Order,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Order {
    /// Lists the machines of this user that run
    List,
    /// Shows one machine: its memory and its environments
    Status,
    /// Takes memory from a machine: its environments may own so much less together
    ///
    /// What they own above that is asked back of each in proportion. What comes back leaves the memory of the host's process.
    Shrink {
        /// How much less, as `64 MiB`
        #[arg(value_parser = str::parse::<Size>)]
        size: Size,
        /// When the kernel takes it
        #[command(flatten)]
        deadline: Deadline,
    },
    /// Lets the environments of a machine own so much more memory together
    Grow {
        /// How much more, as `64 MiB`
        #[arg(value_parser = str::parse::<Size>)]
        size: Size,
    },
    /// Asks an environment to give something back, and has it taken by force at the deadline
    Revoke {
        /// Name or number of the environment
        environment: String,
        /// What: frames, slices, queues, extents, ports, or vcpus
        #[arg(value_parser = kind)]
        kind: RevocationKind,
        /// How many
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        count: u64,
        /// When the kernel takes it
        #[command(flatten)]
        deadline: Deadline,
    },
}

/// The option `--deadline`.
#[derive(Debug, Args)]
pub struct Deadline {
    /// Time that environments have to give it back themselves
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration)]
    pub deadline: Duration,
}

/// Behind the options.
pub const HELP: &str = "\
Examples:
  exo ctl list
  exo ctl status --json
  exo run --name one elastic & exo ctl --name one shrink 16MiB
  exo ctl revoke elastic frames 256 --deadline 50ms

A machine is found by its control socket in $XDG_RUNTIME_DIR/exo, or in /tmp/exo-UID, which only its own user can open.
The tables come from the memory of the process that runs the machine: asking costs the guest no exit and no instruction.

Who is asked to give something back chooses what. What is still due at the deadline is taken by force, the newest first; what an
environment started with it keeps.

Exit status 1: less was given back than was asked for; the others are those of exo --help.";

/// A time as people write it: `100ms`, `2 s`.
fn duration(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    let digits = trimmed
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let from = match unit.trim() {
        "us" => Duration::from_micros,
        "ms" => Duration::from_millis,
        "s" => Duration::from_secs,
        _ => return Err("a number with us, ms or s is right, as in `100ms`".into()),
    };
    let time = number.parse().ok().map(from);
    time.filter(|time| *time <= Duration::from_secs(3600))
        .ok_or_else(|| "at most an hour is right".into())
}

fn kind(text: &str) -> Result<RevocationKind, String> {
    let found = RevocationKind::ALL.iter().find(|kind| kind.name() == text);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = RevocationKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("one of these is right: {}", names.join(", "))
    })
}

/// Does it; gives the exit status.
pub fn execute(options: &CtlOptions) -> Result<u8, Error> {
    let client = || Client::find(options.name.as_deref());
    let json = options.json;
    match &options.order {
        Order::List => list(json).map(|()| 0),
        Order::Status => {
            let snapshot = client()?.snapshot()?;
            show(json, &snapshot, text::status)?;
            Ok(0)
        }
        Order::Shrink { size, deadline } => {
            let done = revocation::resize(&client()?, -frames(*size), deadline.deadline)?;
            show(json, &done, resized)?;
            let kept = done.frames_owned > done.frames_limit;
            Ok(if kept { exit_status::KEPT } else { 0 })
        }
        Order::Grow { size } => {
            let done = revocation::resize(&client()?, frames(*size), Duration::ZERO)?;
            show(json, &done, resized)?;
            Ok(0)
        }
        Order::Revoke {
            environment,
            kind,
            count,
            deadline,
        } => {
            let client = client()?;
            let done = revocation::revoke(&client, environment, *kind, *count, deadline.deadline)?;
            show(json, &done, revoked)?;
            let kept = done.kept != 0 || done.refused.is_some();
            Ok(if kept { exit_status::KEPT } else { 0 })
        }
    }
}

/// Frames that hold so much.
fn frames(size: Size) -> i64 {
    // Below 2^52, so it fits.
    size.0.div_ceil(PAGE_SIZE) as i64
}

fn list(json: bool) -> Result<(), Error> {
    let machines: Vec<Snapshot> = Client::all()?
        .into_iter()
        .map(|(_, snapshot)| snapshot)
        .collect();
    if json {
        let machines: Vec<_> = machines.iter().map(|one| &one.machine).collect();
        return print_json(&machines);
    }
    super::print(&text::list(&machines));
    Ok(())
}

fn show<T: serde::Serialize>(
    json: bool,
    value: &T,
    as_text: fn(&T) -> String,
) -> Result<(), Error> {
    if json {
        return print_json(value);
    }
    super::print(&as_text(value));
    Ok(())
}

fn resized(done: &Resized) -> String {
    let mut text: String = done.revoked.iter().map(revoked).collect();
    text.push_str(&format!(
        "environments own {} of {} frames that they may own together\n",
        done.frames_owned, done.frames_limit
    ));
    text
}

fn revoked(done: &Revoked) -> String {
    let Revoked {
        environment,
        kind,
        asked,
        ..
    } = done;
    if let Some(reason) = &done.refused {
        return format!("{environment}: {asked} {kind} not asked for: {reason}\n");
    }
    let how = match (done.taken_by_force, done.kept) {
        (0, 0) => "given back".to_owned(),
        (taken, 0) => format!("{taken} bindings taken by force"),
        (0, kept) => format!("{kept} not to be had"),
        (taken, kept) => format!("{taken} bindings taken by force, {kept} not to be had"),
    };
    format!("{environment}: {asked} {kind} asked for, {how}\n")
}

/// One document, on one line.
pub fn print_json<T: serde::Serialize>(value: &T) -> Result<(), Error> {
    let mut text =
        serde_json::to_string(value).map_err(|error| Error::system("writing JSON", error))?;
    text.push('\n');
    super::print(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(duration(" 2 s "), Ok(Duration::from_secs(2)));
        assert_eq!(duration("0us"), Ok(Duration::ZERO));
        for text in [
            "",
            "ms",
            "1",
            "-1ms",
            "1.5s",
            "7200s",
            "1 h",
            "99999999999999999999s",
        ] {
            duration(text).unwrap_err();
        }
    }
}
