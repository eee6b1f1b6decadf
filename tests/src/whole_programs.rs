//! Whole programs that are timed on the host and here: SQLite, Lua, LuaJIT, and tools of busybox over one large file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::{Report, home, linux};

/// A program, what it is given, and what it is called in the table.
struct Program {
    name: &'static str,
    words: &'static [&'static str],
    /// How it ends.
    status: i32,
}

/// What is timed: the files that they name lie in the folder where all are.
const PROGRAMS: &[Program] = &[
    Program {
        name: "sqlite-inserts",
        words: &["/sqlite", "/tmp/rows.db", "100000"],
        status: 0,
    },
    Program {
        name: "lua",
        words: &["/lua", "/script.lua"],
        status: 64,
    },
    Program {
        name: "luajit",
        words: &["/luajit", "/machine.lua"],
        status: 0,
    },
    Program {
        name: "gzip",
        words: &["/busybox", "gzip", "-c", "/large"],
        status: 0,
    },
    Program {
        name: "sha256sum",
        words: &["/busybox", "sha256sum", "/large"],
        status: 0,
    },
    Program {
        name: "sort",
        words: &["/busybox", "sort", "/large"],
        status: 0,
    },
];
/// Lines of the large file.
const LINES: u64 = 200_000;

/// A folder with the programs and their files, which is their root directory everywhere.
pub struct WholePrograms {
    folder: PathBuf,
}

fn build(folder: &Path, source: &str, name: &str, libraries: &[&str]) -> Result<(), String> {
    let sources = home::home().join("tests/linux/programs");
    let done = Command::new("cc")
        .args(["-O2", "-static", "-w", "-o"])
        .args([folder.join(name), sources.join(source)])
        .args(libraries)
        .output()
        .map_err(|error| format!("cc: {error}; install it with scripts/setup"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{source} does not build; scripts/setup installs what it needs"
        )),
    }
}

impl WholePrograms {
    /// Builds them into a folder.
    pub fn build(folder: &Path) -> Result<Self, String> {
        build(
            folder,
            "database.c",
            "sqlite",
            &["-lsqlite3", "-lm", "-lpthread", "-ldl"],
        )?;
        build(
            folder,
            "script.c",
            "lua",
            &["-I/usr/include/lua5.4", "-llua5.4", "-lm", "-ldl"],
        )?;
        build(
            folder,
            "machine.c",
            "luajit",
            &["-I/usr/include/luajit-2.1", "-lluajit-5.1", "-lm", "-ldl"],
        )?;
        let copied = |from: PathBuf, name: &str| {
            std::fs::copy(&from, folder.join(name))
                .map_err(|error| format!("{}: {error}", from.display()))
        };
        let sources = home::home().join("tests/linux/programs");
        for name in ["script.lua", "machine.lua"] {
            copied(sources.join(name), name)?;
        }
        copied(linux::busybox(), "busybox")?;
        let line = |number: u64| {
            format!(
                "{:016x} {number}\n",
                number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            )
        };
        let text: String = (0..LINES).map(line).collect();
        std::fs::write(folder.join("large"), text).map_err(|error| format!("large: {error}"))?;
        std::fs::create_dir_all(folder.join("tmp")).map_err(|error| format!("tmp: {error}"))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Runs each at a place, the host or a mode: names and nanoseconds from a program's start to its end. Here that is without the boot
    /// of the machine.
    pub fn run(&self, place: &str) -> Result<Vec<(String, Option<f64>)>, String> {
        PROGRAMS
            .iter()
            .map(|program| Ok((program.name.to_owned(), Some(self.time(program, place)?))))
            .collect()
    }

    fn time(&self, program: &Program, place: &str) -> Result<f64, String> {
        let report = self.folder.join("report.json");
        let mut command = match place {
            "host" => {
                // The same paths, below the folder.
                let mut words = program
                    .words
                    .iter()
                    .map(|word| match word.strip_prefix('/') {
                        Some(path) => self.folder.join(path).into_os_string(),
                        None => word.into(),
                    });
                let mut command = Command::new(words.next().unwrap_or_default());
                command.args(words);
                command
            }
            mode => {
                let mut json = std::ffi::OsString::from("--json=");
                json.push(&report);
                let mut command = Command::new(home::exo());
                command
                    .env("EXO_HOME", home::home())
                    .args([
                        "run",
                        "--no-control",
                        "--mode",
                        mode,
                        "--memory",
                        "1 GiB",
                        "--root",
                    ])
                    .arg(&self.folder)
                    .arg(json)
                    .args(program.words);
                command
            }
        };
        let _ = std::fs::remove_file(self.folder.join("tmp/rows.db"));
        let start = Instant::now();
        let status = command
            .stdout(Stdio::null())
            .status()
            .map_err(|error| format!("{place}: {error}"))?;
        let elapsed = start.elapsed().as_nanos() as f64;
        if status.code() != Some(program.status) {
            return Err(format!("{place}: {} ended with {status}", program.name));
        }
        if place == "host" {
            return Ok(elapsed);
        }
        let text = std::fs::read_to_string(&report)
            .map_err(|error| format!("{place}: its report: {error}"))?;
        let report = Report::parse(&text);
        let microseconds =
            report.number("/timings/end_us") - report.number("/timings/first_instruction_us");
        Ok(microseconds as f64 * 1000.0)
    }
}
