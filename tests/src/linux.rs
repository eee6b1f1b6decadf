//! Linux programs for the tests of the Linux personality.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::home;

/// How system calls are reached.
pub const MODES: [&str; 2] = ["call", "trap"];

/// Builds one of `tests/linux`, static; where `EXO_LINUX_PROGRAMS` names a folder, they are there already.
pub fn build(folder: &Path, name: &str) -> PathBuf {
    if let Some(built) = std::env::var_os("EXO_LINUX_PROGRAMS") {
        return Path::new(&built).join(name);
    }
    let source = home::home().join(format!("tests/linux/{name}.c"));
    let program = folder.join(name);
    let done = Command::new("cc")
        .args(["-O2", "-static", "-w", "-o"])
        .args([&program, &source])
        .args(["-lm", "-pthread"])
        .status()
        .expect("cc is there");
    assert!(done.success(), "{} does not build", source.display());
    program
}

/// Where busybox is.
pub fn busybox() -> PathBuf {
    let path = std::env::var_os("PATH").expect("there is a PATH");
    std::env::split_paths(&path)
        .map(|folder| folder.join("busybox"))
        .find(|file| file.exists())
        .expect("busybox is there; scripts/setup installs it")
}
