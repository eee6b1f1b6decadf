//! `exo top`: what a running machine does, live or once.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;

use super::ctl::print_json;
use crate::error::Error;
use crate::observe::client::Client;
use crate::observe::{screen, text};

/// Options of `exo top`.
#[derive(Debug, Args)]
pub struct TopOptions {
    /// Name of the machine; need not be given where only one runs
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Print it once as text
    #[arg(long)]
    pub once: bool,
    /// Print it once as one JSON document
    #[arg(long, conflicts_with = "once")]
    pub json: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub interval: Duration,
}

/// Behind the options.
pub const HELP: &str = "\
Examples:
  exo top
  exo top --once
  exo top --json | jq '.environments[] | [.name, .frames]'

Keys: q ends it, the arrows and page keys move through the environments.

The tables come from the memory of the process that runs the machine: looking costs the guest no exit and no instruction.
The exit status is 0, also when the machine ends meanwhile.";

/// A time that somebody can wait for.
fn interval(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.01..=3600.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "a number of seconds from 0.01 to 3600 is right".into())
}

/// Shows it; gives the exit status.
pub fn show(options: &TopOptions) -> Result<u8, Error> {
    let client = Client::find(options.name.as_deref())?;
    let snapshot = client.snapshot()?;
    if options.json {
        print_json(&snapshot)?;
    } else if options.once {
        super::print(&text::everything(&snapshot));
    } else if std::io::stdout().is_terminal() {
        screen::run(&client, options.interval)?;
    } else {
        return Err(Error::Usage(
            "standard output is no terminal; use exo top --once or --json".into(),
        ));
    }
    Ok(0)
}
