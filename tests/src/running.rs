//! A machine that runs while the test looks at it through its control socket.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{self, Finished};
use crate::{home, host};

/// The name that [`Running`] gives its machine.
pub const NAME: &str = "tested";

/// A machine, with a folder of control sockets to itself.
pub struct Running {
    child: Child,
    input: Option<ChildStdin>,
    folder: TempDir,
}

impl Running {
    /// Starts `exo run` with these words behind it, and waits until it can be asked.
    pub fn start(words: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut command = exo(&folder);
        command.args(["run", "--name", NAME]).args(words);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let input = child.stdin.take();
        let running = Self {
            child,
            input,
            folder,
        };
        running.wait_until("the machine can be asked", |running| {
            running.ctl(&["status"]).status == 0
        });
        host::note_machine(&words.join(" "));
        running
    }

    /// Runs `exo ctl` with these words.
    pub fn ctl(&self, words: &[&str]) -> Finished {
        process::run(exo(&self.folder).arg("ctl").args(words))
    }

    /// Runs `exo top` with these words.
    pub fn top(&self, words: &[&str]) -> Finished {
        process::run(exo(&self.folder).arg("top").args(words))
    }

    /// What `exo ctl status --json` shows, of one moment.
    pub fn snapshot(&self) -> Value {
        let end = Instant::now() + process::limit();
        loop {
            let finished = self.ctl(&["status", "--json"]);
            assert_eq!(finished.status, 0, "{}", finished.stderr);
            let snapshot: Value = serde_json::from_str(&finished.stdout)
                .unwrap_or_else(|error| panic!("{error}: {}", finished.stdout));
            if snapshot["machine"]["consistent"] == true {
                return snapshot;
            }
            assert!(Instant::now() < end, "the kernel never rests: {snapshot}");
        }
    }

    /// Waits for `done`; fails the test where it never comes.
    pub fn wait_until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + process::limit();
        while !done(self) {
            assert!(Instant::now() < end, "waited in vain until {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Writes to the machine's standard input.
    pub fn type_in(&mut self, text: &str) {
        let input = self.input.as_mut().expect("the input is open");
        input
            .write_all(text.as_bytes())
            .expect("the machine reads its input");
    }

    /// Process of the VMM.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Names in the folder of control sockets.
    pub fn sockets(&self) -> Vec<String> {
        let Ok(folder) = std::fs::read_dir(self.folder.path().join("exo")) else {
            return Vec::new();
        };
        let names = folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.collect()
    }

    /// Closes the input and waits for the end.
    pub fn finish(&mut self) -> Finished {
        self.input = None;
        process::finish(&mut self.child)
    }

    /// Ends the machine without any last word.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `exo`, with its control sockets in this folder.
fn exo(folder: &TempDir) -> Command {
    let mut command = Command::new(home::exo());
    command
        .env("EXO_HOME", home::home())
        .env("XDG_RUNTIME_DIR", folder.path());
    command
}
