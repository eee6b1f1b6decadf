//! A terminal on which a command runs, and somebody who types.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::process;

/// What is done when a text has appeared.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// These bytes are typed.
    Type(&'static str),
    /// The terminal gets so many columns and rows, and a little later these bytes are typed.
    Resize(u16, u16, &'static str),
}

/// Runs a command on a terminal of 80 by 24 characters, and does each step when its text has appeared behind that of the step before. What the terminal
/// shows in the end, and the status.
pub fn run(words: &[&OsStr], steps: &[(&str, Step)]) -> (String, i32) {
    let mut master = File::from(
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal can be made"),
    );
    grantpt(&master).expect("a terminal can be used");
    unlockpt(&master).expect("a terminal can be used");
    let name = ptsname(&master, Vec::new()).expect("a terminal has a name");
    resize(&master, 80, 24);
    let slave: OwnedFd =
        open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("a terminal can be opened");
    let stdio = || Stdio::from(slave.try_clone().expect("a descriptor can be copied"));
    // Whoever runs there is to have the terminal: a session of its own, on it.
    let mut command = Command::new("setsid");
    command
        .args(["--ctty", "--wait"])
        .args(words)
        .env_clear()
        .env("EXO_HOME", crate::home::home())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(stdio())
        .stdout(stdio())
        .stderr(stdio());
    let mut child = command.spawn().expect("setsid is there");
    drop((slave, command));
    let shown = shown(&master);
    let deadline = Instant::now() + process::limit();
    let mut text = Vec::new();
    let mut seen = 0;
    let mut steps = steps.iter();
    let mut next = steps.next();
    loop {
        match shown.recv_timeout(Duration::from_millis(100)) {
            Ok(bytes) => text.extend(bytes),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => continue,
            Err(RecvTimeoutError::Timeout) => {
                // It may have ended meanwhile.
                let _ = child.kill();
                break;
            }
        }
        while let Some((awaited, step)) = next
            && let Some(place) = text[seen..]
                .windows(awaited.len())
                .position(|part| part == awaited.as_bytes())
        {
            seen += place + awaited.len();
            act(&mut master, *step);
            next = steps.next();
        }
    }
    let status = child.wait().expect("the command ends");
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(
        next.is_none(),
        "`{}` never appeared in\n{text}",
        next.map_or("", |step| step.0)
    );
    (
        text,
        status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))
            .unwrap_or(-1),
    )
}

fn resize(master: &File, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(master, size).expect("a terminal can be resized");
}

fn act(master: &mut File, step: Step) {
    let bytes = match step {
        Step::Type(bytes) => bytes,
        Step::Resize(columns, rows, bytes) => {
            resize(master, columns, rows);
            std::thread::sleep(Duration::from_millis(300));
            bytes
        }
    };
    master
        .write_all(bytes.as_bytes())
        .expect("somebody can type");
}

/// What the terminal shows, piece by piece.
fn shown(master: &File) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    let mut master = master.try_clone().expect("a descriptor can be copied");
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        // It fails when nobody has the terminal open any more.
        while let Ok(count) = master.read(&mut piece)
            && count != 0
            && sender.send(piece[..count].to_vec()).is_ok()
        {}
    });
    receiver
}
