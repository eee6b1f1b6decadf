//! Linux programs that crash: a backtrace with symbols on standard error, and a core file that gdb opens.

use std::path::{Path, PathBuf};
use std::process::Command;

use exo_tests::{Machine, require_kvm};

/// A program that dies in a function of its own, with a second thread beside it.
const PROGRAM: &str = "
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
char text[] = \"what the core holds\";
__attribute__((noinline)) int crash(int *place)
{
    return *place + 1;
}
__attribute__((noinline)) int middle(char **arguments)
{
    return crash((int *)strtoul(arguments[1], 0, 16)) + 1;
}
void *wait_for_ever(void *nothing)
{
    pause();
    return nothing;
}
int main(int count, char **arguments)
{
    pthread_t thread;
    pthread_create(&thread, 0, wait_for_ever, 0);
    sched_yield();
    if (count == 1)
        abort();
    return middle(arguments);
}
";

fn build(folder: &Path, options: &[&str]) -> PathBuf {
    let (source, program) = (folder.join("crash.c"), folder.join("crash"));
    std::fs::write(&source, PROGRAM).unwrap();
    let built = Command::new("cc")
        .args(["-g", "-O1", "-w"])
        .args(options)
        .arg("-o")
        .args([&program, &source])
        .status();
    assert!(built.unwrap().success());
    program
}

fn gdb(program: &Path, core: &Path, commands: &[&str]) -> String {
    let mut gdb = Command::new("timeout");
    gdb.args(["60", "gdb", "-nx", "-batch"])
        .args([program, core]);
    for command in commands {
        gdb.args(["-ex", command]);
    }
    let said = gdb
        .output()
        .expect("gdb is there; scripts/setup installs it");
    String::from_utf8_lossy(&said.stdout).into_owned()
}

#[test]
fn a_crash_prints_a_backtrace_and_leaves_a_core_that_gdb_opens() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    for options in [&["-static"][..], &["-static-pie"]] {
        let program = build(folder.path(), options);
        let core = folder.path().join("core");
        let outcome = Machine::new(&program)
            .option("--core")
            .option(&core)
            .argument("0x12340")
            .run()
            .expect_status(139);
        let said = outcome.stderr();
        for part in [
            "signal 11, address 0x12340",
            "crash at ",
            "crash.c:9",
            "middle at ",
            "main at ",
            "exo: core written to ",
        ] {
            assert!(said.contains(part), "{options:?}: no {part:?} in\n{said}");
        }
        let said = gdb(
            &program,
            &core,
            &["backtrace", "print place", "x/s text", "info threads"],
        );
        for part in [
            "Program terminated with signal SIGSEGV",
            "crash (place=0x12340)",
            "in middle (",
            "in main (",
            "$1 = (int *) 0x12340",
            "\"what the core holds\"",
            "  2    ",
        ] {
            assert!(said.contains(part), "{options:?}: no {part:?} in\n{said}");
        }
    }
}

#[test]
fn every_signal_that_leaves_a_core_is_told() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let program = build(folder.path(), &["-static"]);
    let outcome = Machine::new(&program).run().expect_status(134);
    assert!(
        outcome.stderr().contains("signal 6, address 0x0"),
        "{}",
        outcome.stderr()
    );
    assert!(
        outcome.stderr().contains("main at "),
        "{}",
        outcome.stderr()
    );
}

#[test]
fn a_core_that_cannot_be_written_is_told() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let program = build(folder.path(), &["-static"]);
    let outcome = Machine::new(&program)
        .option("--core")
        .option("/nowhere/core")
        .run()
        .expect_status(134);
    let line = outcome.stderr().lines().last().unwrap_or_default();
    assert!(
        line.starts_with("exo: core /nowhere/core: "),
        "{}",
        outcome.stderr()
    );
}
