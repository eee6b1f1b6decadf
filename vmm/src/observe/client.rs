//! The other end of the control socket: finds machines, asks one.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::folder::{Folder, check_name};
use super::protocol::{Answer, Request, line, parse};
use super::snapshot::Snapshot;
use crate::error::Error;

/// How long a machine may take for an answer: it serves one client after the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// A machine that runs, by name.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name.
    pub name: String,
    folder: Folder,
}

impl Client {
    /// The machine with this name; without one, the only machine that runs.
    pub fn find(name: Option<&str>) -> Result<Self, Error> {
        let folder = Folder::find();
        if let Some(name) = name {
            check_name(name)?;
            let name = name.to_owned();
            return Ok(Self { name, folder });
        }
        let mut machines = Self::all()?;
        match (machines.pop(), machines.is_empty()) {
            (Some((client, _)), true) => Ok(client),
            (None, _) => Err(Error::MissingInput(
                "no machine runs here; start one with exo run".into(),
            )),
            (Some((last, _)), false) => {
                let names = machines.iter().map(|(client, _)| client.name.as_str());
                let names: Vec<_> = names.chain([last.name.as_str()]).collect();
                Err(Error::Usage(format!(
                    "several machines run; name one of them with --name: {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// All machines of this user that answer, and what they show. What killed ones have left behind is removed.
    pub fn all() -> Result<Vec<(Self, Snapshot)>, Error> {
        let folder = Folder::find();
        let mut found = Vec::new();
        for name in folder.names()? {
            let client = Self {
                name,
                folder: folder.clone(),
            };
            let stream = match client.connect() {
                Ok(stream) => stream,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    let _ = std::fs::remove_file(folder.socket(&client.name));
                    continue;
                }
                Err(_) => continue,
            };
            // One that ends just now is none any more.
            if let Ok(Answer::Snapshot(snapshot)) = client.exchange(stream, Request::Snapshot) {
                found.push((client, *snapshot));
            }
        }
        Ok(found)
    }

    fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.folder.socket(&self.name))
    }

    /// The tables as they are now.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        match self.ask(Request::Snapshot)? {
            Answer::Snapshot(snapshot) => Ok(*snapshot),
            other => Err(unexpected(other)),
        }
    }

    /// Sends a request; a refusal is an error.
    pub fn ask(&self, request: Request) -> Result<Answer, Error> {
        let name = &self.name;
        let stream = self.connect().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Error::MissingInput(
                format!("no machine called {name} runs here; exo ctl list names those that do"),
            ),
            _ => Error::file(
                "control socket",
                &self.folder.socket(name),
                &error,
                "start a machine",
            ),
        })?;
        self.exchange(stream, request)
    }

    fn exchange(&self, mut stream: UnixStream, request: Request) -> Result<Answer, Error> {
        let name = &self.name;
        let exchange = || -> io::Result<String> {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(line(request).as_bytes())?;
            let mut text = String::new();
            BufReader::new(&stream).read_line(&mut text)?;
            Ok(text)
        };
        let text = exchange().map_err(|error| {
            Error::System(format!(
                "machine {name} does not answer: {error}; it may just have ended, exo ctl list tells"
            ))
        })?;
        if text.is_empty() {
            return Err(Error::MissingInput(format!(
                "machine {name} has ended; exo ctl list names those that run"
            )));
        }
        match parse(&text).map_err(Error::System)? {
            Answer::Refused { status, reason } => Err(Error::Told { status, reason }),
            answer => Ok(answer),
        }
    }
}

/// The error that an answer is where another kind of answer was due.
pub fn unexpected(answer: Answer) -> Error {
    match answer {
        Answer::Refused { status, reason } => Error::Told { status, reason },
        Answer::Snapshot(_) | Answer::Asked { .. } => Error::System(
            "the machine answered something else than was asked; use the same exo for both".into(),
        ),
    }
}
