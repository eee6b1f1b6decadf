//! Times from process start to the first byte that a guest prints: `exo` beside QEMU, one run of each by turns.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::home;

/// Times of one kind, with what they say together.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    values: Vec<f64>,
}

impl Sample {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.values.push(value);
    }

    /// All values, in the order of the runs.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The value below which this part of all lies (nearest rank).
    pub fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
    }

    /// The middle value.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

/// `exo run hello`, with its report going to a file.
pub fn exo_command(report: &Path) -> Command {
    let mut option = std::ffi::OsString::from("--json=");
    option.push(report);
    let mut command = Command::new(home::exo());
    command
        .arg("run")
        .arg(option)
        .arg("hello")
        .env("EXO_HOME", home::home());
    command
}

/// QEMU's smallest machine with the same kernel and bundle.
pub fn qemu_command(bundle: &Path) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args([
            "-M",
            "microvm,x-option-roms=off,pit=off,pic=off,rtc=off",
            "-accel",
            "kvm",
            "-cpu",
            "qemu64",
        ])
        .args([
            "-m",
            "64M",
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
        ])
        .args([
            "-serial",
            "stdio",
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=4",
        ])
        .arg("-kernel")
        .arg(home::home().join("target/guest/exo-kernel"))
        .arg("-initrd")
        .arg(bundle);
    command
}

/// Runs a command; gives the time from before its start to its first byte of output, and everything it printed.
pub fn first_byte(command: &mut Command) -> Result<(Duration, String), String> {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let mut bytes = vec![0];
    let pipe = child.stdout.as_mut().ok_or("no pipe")?;
    let first = pipe.read(&mut bytes).map_err(|error| error.to_string())?;
    let time = start.elapsed();
    bytes.truncate(first);
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    bytes.extend(output.stdout);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if first == 0 || !text.to_lowercase().contains("hello") {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{command:?} did not say hello but {text:?}, and {errors:?}"
        ));
    }
    Ok((time, text))
}
