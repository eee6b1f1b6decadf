//! Runs a command to its end, with a limit on time, and keeps what it wrote.

use std::io::{Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::host;

/// What a command left.
#[derive(Debug)]
pub struct Finished {
    /// Exit status; a signal n counts as 128 + n.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A limit that no good run comes near, whatever else the host does: it only ends what hangs.
pub fn limit() -> Duration {
    Duration::from_secs(if host::is_nested() { 300 } else { 60 })
}

/// Runs `command` with no input, and fails the test if it takes longer than [`limit`].
pub fn run(command: &mut Command) -> Finished {
    run_with_input(command, "", limit())
}

/// Runs `command` with this on its standard input, which then ends, and fails the test if it takes longer than `limit`.
pub fn run_with_input(command: &mut Command, input: &str, limit: Duration) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    if let Some(mut pipe) = child.stdin.take() {
        // A command that ends without reading its input is judged by what else it did.
        let _ = pipe.write_all(input.as_bytes());
    }
    finish_within(&mut child, limit)
}

/// Waits for the end of a child whose output was piped, and fails the test if that takes longer than [`limit`].
pub fn finish(child: &mut Child) -> Finished {
    finish_within(child, limit())
}

fn finish_within(child: &mut Child, limit: Duration) -> Finished {
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait(child, limit);
    let text = |thread: JoinHandle<Vec<u8>>| {
        let bytes = thread.join().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let finished = Finished {
        status: status.unwrap_or(-1),
        stdout: text(stdout),
        stderr: text(stderr),
    };
    assert!(
        status.is_some(),
        "process {} had not ended after {limit:?}; it wrote:\n{}\n{}",
        child.id(),
        finished.stdout,
        finished.stderr
    );
    finished
}

/// Reads a pipe to its end, beside the other one, so that neither can fill up.
fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// The exit status, or nothing for a child that had to be killed.
fn wait(child: &mut Child, limit: Duration) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt as _;
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(
                status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            );
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
