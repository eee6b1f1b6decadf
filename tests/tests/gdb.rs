//! `exo run --gdb`: a real gdb debugs kernel, libOS and Linux programs.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use exo_tests::{home, require_kvm};

/// A program with something to stop at.
const PROGRAM: &str = "
#include <stdio.h>
int counter;
__attribute__((noinline)) int square(int x)
{
    counter++;
    return x * x;
}
int main(void)
{
    int sum = 0;
    for (int i = 1; i <= 3; i++)
        sum += square(i);
    printf(\"%d\\n\", sum);
    return 7;
}
";

/// A machine that waits for gdb, and the address it waits at.
struct Waiting {
    machine: Child,
    address: String,
    said: BufReader<std::process::ChildStderr>,
}

impl Waiting {
    fn new(options: &[&str]) -> Self {
        exo_tests::host::note_machine(options.last().unwrap());
        let mut machine = Command::new(home::exo())
            .env("EXO_HOME", home::home())
            .args(["run", "--no-control", "--gdb", "0"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(machine.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let address = line
            .split("target remote ")
            .nth(1)
            .and_then(|rest| rest.split('\'').next())
            .unwrap_or_else(|| panic!("no address in {line}"))
            .to_owned();
        Self {
            machine,
            address,
            said,
        }
    }

    /// Has gdb do this, and the machine come to its end: what gdb said, what the machine printed, its status.
    fn debug(mut self, file: &Path, commands: &[&str]) -> (String, String, Option<i32>) {
        let mut gdb = Command::new("timeout");
        gdb.args(["60", "gdb", "-nx", "-batch"])
            .arg(file)
            .args(["-ex", "set pagination off"])
            .args(["-ex", &format!("target remote {}", self.address)]);
        for command in commands {
            gdb.args(["-ex", command]);
        }
        let said = gdb
            .output()
            .expect("gdb is there; scripts/setup installs it");
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr)
        );
        let (mut printed, mut rest) = (String::new(), String::new());
        let mut output = self.machine.stdout.take().unwrap();
        output.read_to_string(&mut printed).unwrap();
        self.said.read_to_string(&mut rest).unwrap();
        let status = self.machine.wait().unwrap().code();
        (format!("{said}{rest}"), printed, status)
    }
}

#[test]
fn linux_programs_stop_at_breakpoints_and_go_step_by_step() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("square.c"), folder.path().join("square"));
    std::fs::write(&source, PROGRAM).unwrap();
    let built = Command::new("cc")
        .args(["-g", "-O1", "-static", "-o"])
        .args([&program, &source])
        .status();
    assert!(built.unwrap().success());
    for mode in ["call", "trap"] {
        let waiting = Waiting::new(&["--mode", mode, program.to_str().unwrap()]);
        let (said, printed, status) = waiting.debug(
            &program,
            &[
                "break square",
                "continue",
                "print x",
                "print counter",
                "backtrace",
                "stepi",
                "next",
                "print counter",
                "finish",
                "set variable counter = 40",
                "continue",
                "delete",
                "next",
                "print counter",
                "continue",
            ],
        );
        for part in [
            "$1 = 1\n",
            "$2 = 0\n",
            "#1  0x",
            " in main () at ",
            "$3 = 1\n",
            "Value returned is $4 = 4\n",
            "Breakpoint 1, square (x=x@entry=3)",
            "$5 = 41\n",
            "exited with code 07",
        ] {
            assert!(said.contains(part), "mode {mode}: no {part:?} in\n{said}");
        }
        assert_eq!((printed.as_str(), status), ("14\n", Some(7)), "{said}");
    }
}

#[test]
fn the_kernel_stops_at_breakpoints_on_every_vcpu() {
    require_kvm!();
    let waiting = Waiting::new(&["--vcpus", "2", "two-hashes"]);
    let kernel = home::home().join("target/guest/exo-kernel");
    let (said, printed, status) = waiting.debug(
        &kernel,
        &[
            "info threads",
            "hbreak resume_environment",
            "continue",
            "backtrace 2",
            "stepi",
            "info symbol $pc",
            "delete",
            "continue",
        ],
    );
    for part in [
        "(vCPU 0, kernel)",
        "(vCPU 1, kernel)",
        "Breakpoint 1, ",
        "resume_environment",
        "resume_environment + ",
        "exited normally",
    ] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    assert_eq!(status, Some(0), "{said}");
    assert!(printed.contains("disk"), "{printed}");
}

#[test]
fn gdb_may_go_and_the_machine_runs_on() {
    require_kvm!();
    let waiting = Waiting::new(&["hello"]);
    let kernel = home::home().join("target/guest/exo-kernel");
    let (said, printed, status) = waiting.debug(&kernel, &["hbreak resume_environment", "detach"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(!printed.is_empty(), "{said}");
    let waiting = Waiting::new(&["hello"]);
    let (said, printed, status) = waiting.debug(&kernel, &["kill"]);
    assert_eq!((printed.as_str(), status), ("", Some(122)), "{said}");
    assert!(said.contains("gdb has killed the machine"), "{said}");
}

#[test]
fn an_address_where_nobody_can_listen_is_refused() {
    require_kvm!();
    let refused = Command::new(home::exo())
        .env("EXO_HOME", home::home())
        .args(["run", "--gdb", "nowhere:x", "hello"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.starts_with("exo: --gdb nowhere:x: cannot listen there: "),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(refused.stdout.is_empty());
}
