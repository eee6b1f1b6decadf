//! `exo ctl`: shows the machines that run, and asks one of them to change.

use clap::{Args, Subcommand};

use crate::error::Error;
use crate::observe::client::Client;
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
}

/// Behind the options.
pub const HELP: &str = "\
Examples:
  exo ctl list
  exo ctl status --json
  exo run --name one hash & exo ctl --name one status

A machine is found by its control socket in $XDG_RUNTIME_DIR/exo, or in /tmp/exo-UID, which only its own user can open.
The tables come from the memory of the process that runs the machine: asking costs the guest no exit and no instruction.";

/// Does it; gives the exit status.
pub fn execute(options: &CtlOptions) -> Result<u8, Error> {
    match options.order {
        Order::List => list(options.json)?,
        Order::Status => {
            let snapshot = Client::find(options.name.as_deref())?.snapshot()?;
            match options.json {
                true => print_json(&snapshot)?,
                false => super::print(&text::status(&snapshot)),
            }
        }
    }
    Ok(0)
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

/// One document, on one line.
pub fn print_json<T: serde::Serialize>(value: &T) -> Result<(), Error> {
    let mut text =
        serde_json::to_string(value).map_err(|error| Error::system("writing JSON", error))?;
    text.push('\n');
    super::print(&text);
    Ok(())
}
