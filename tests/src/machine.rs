//! One run of `exo run`: what it is given.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guest::Guest;
use crate::outcome::{Outcome, Report};
use crate::{home, host, process};

/// The options and arguments of one run.
#[derive(Clone, Debug)]
pub struct Machine {
    image: OsString,
    options: Vec<OsString>,
    arguments: Vec<OsString>,
    prefix: Vec<OsString>,
    guest: Option<PathBuf>,
    input: String,
    limits: u32,
}

impl Machine {
    /// Will run this image: a name below `images/`, or the path of a manifest.
    pub fn new(image: impl Into<OsString>) -> Self {
        Self {
            image: image.into(),
            options: Vec::new(),
            arguments: Vec::new(),
            prefix: Vec::new(),
            guest: None,
            input: String::new(),
            limits: 1,
        }
    }

    /// Will give `exo run` this option.
    pub fn option(mut self, option: impl Into<OsString>) -> Self {
        self.options.push(option.into());
        self
    }

    /// Will give the machine this disk.
    pub fn disk(self, path: &Path) -> Self {
        self.option("--disk").option(path)
    }

    /// Will give the machine this disk, which it may not write.
    pub fn readonly_disk(self, path: &Path) -> Self {
        let mut value = path.as_os_str().to_owned();
        value.push(",readonly");
        self.option("--disk").option(value)
    }

    /// Will give the machine so many vCPUs.
    pub fn vcpus(self, count: u32) -> Self {
        self.option("--vcpus").option(count.to_string())
    }

    /// Will give the machine so much memory.
    pub fn memory(self, size: &str) -> Self {
        self.option("--memory").option(size)
    }

    /// Will give the first program this argument.
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Will run `exo` as an argument of this command.
    pub fn under(mut self, command: &[&str]) -> Self {
        self.prefix = command.iter().map(OsString::from).collect();
        self
    }

    /// Will have this on its standard input.
    pub fn input(mut self, input: &str) -> Self {
        self.input = input.to_owned();
        self
    }

    /// May take so many times as long as others before it counts as hanging.
    pub fn patience(mut self, limits: u32) -> Self {
        self.limits = limits;
        self
    }

    /// Will take kernel and programs from here.
    pub fn guest(mut self, guest: &Guest) -> Self {
        self.guest = Some(guest.path().to_owned());
        self
    }

    /// Runs it to its end.
    pub fn run(&self) -> Outcome {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let report = folder.path().join("report.json");
        let mut option = OsString::from("--json=");
        option.push(&report);
        let mut words = self.prefix.clone();
        words.push(home::exo().into());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg("run")
            .arg(option)
            .args(&self.options)
            .arg(&self.image)
            .args(&self.arguments)
            .env("EXO_HOME", home::home());
        if let Some(guest) = &self.guest {
            command.env("EXO_GUEST", guest);
        }
        let finished =
            process::run_with_input(&mut command, &self.input, process::limit() * self.limits);
        let text = std::fs::read_to_string(&report).ok();
        if text.is_some() {
            host::note_machine(&self.image.to_string_lossy());
        }
        Outcome::new(
            format!("{command:?}"),
            finished,
            text.as_deref().map(Report::parse),
        )
    }
}
