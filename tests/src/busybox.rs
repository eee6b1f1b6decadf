//! busybox's own test suite, run on the host's Linux and here: the same program, the same tree of files, the same tests.

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Machine, home, linux, process};

/// Where the tests lie in the root file system, and the program beside them.
const TESTS: &str = "s/testsuite";
/// Seconds that all tests may take before they count as hanging.
const SECONDS_MAX: &str = "7200";

/// The tests, and a root file system to run them in.
pub struct Suite {
    root: TempDir,
}

/// What a run of tests has to say: one line for each test, sorted.
pub type Verdicts = Vec<String>;

/// What was counted here, in one mode.
#[derive(Debug)]
pub struct Counts {
    /// How system calls were reached.
    pub mode: &'static str,
    /// Tests that pass on the host.
    pub host: usize,
    /// Tests that pass here.
    pub here: usize,
    /// Tests that did not end alike: lines of the host alone, with `-` before them, and of here alone, with `+`.
    pub differences: Vec<String>,
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status()
        .expect("cp is there");
    assert!(done.success(), "{} cannot be copied", from.display());
}

impl Suite {
    /// The suite that `scripts/setup` has unpacked.
    pub fn new() -> Self {
        let source = home::home().join("target/busybox");
        assert!(
            source.join("config").exists(),
            "{} is missing; scripts/setup fetches busybox's test suite",
            source.display()
        );
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let root = folder.path();
        for name in ["bin", "dev", "etc", "proc", "s", "tmp"] {
            std::fs::create_dir(root.join(name)).expect("folders can be made");
        }
        copy(&source.join("testsuite"), &root.join(TESTS));
        copy(&source.join("config"), &root.join("s/.config"));
        let busybox = linux::busybox();
        for place in ["bin/busybox", "s/busybox"] {
            std::fs::copy(&busybox, root.join(place)).expect("busybox can be copied");
        }
        for name in names(&busybox).filter(|name| name != "busybox") {
            symlink("busybox", root.join("bin").join(name)).expect("links can be made");
        }
        for (name, text) in [
            ("passwd", "root:x:0:0:root:/:/bin/sh\n"),
            ("group", "root:x:0:\n"),
        ] {
            std::fs::write(root.join("etc").join(name), text).expect("files can be written");
        }
        Self { root: folder }
    }

    /// Applets that have tests.
    pub fn applets(&self) -> Vec<String> {
        let tests = self.root.path().join(TESTS);
        names(&linux::busybox())
            .filter(|name| {
                tests.join(name).is_dir() || tests.join(format!("{name}.tests")).exists()
            })
            .collect()
    }

    /// Runs the tests of applets on the host, in a copy of the tree that is the root directory there too.
    fn run_on_host(&self, applets: &[String]) -> Verdicts {
        const SCRIPT: &str = "cd \"$0\" && mount --rbind /dev dev && mount -t proc proc proc && mount -t tmpfs tmp tmp && \
            exec chroot . /bin/sh -c 'cd /s/testsuite && PATH=/bin exec sh ./runtest \"$@\"' sh \"$@\"";
        let copied = tempfile::tempdir().expect("a temporary folder can be made");
        let root = copied.path().join("root");
        copy(self.root.path(), &root);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--net"]);
        let own = std::fs::metadata("/proc/self").expect("proc(5) is mounted");
        if own.uid() != 0 {
            command.arg("--map-root-user");
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .args(["sh", "-c", SCRIPT])
            .arg(&root)
            .args(applets)
            .env_clear()
            .env("PATH", path);
        let finished = process::run_with_input(&mut command, "", process::limit() * 10);
        verdicts(&finished.stdout)
    }

    /// Runs the tests of applets here.
    fn run_here(&self, applets: &[String], mode: &str) -> Verdicts {
        let machine = Machine::new("sh")
            .option("--root")
            .option(self.root.path())
            .option("--workdir")
            .option(PathBuf::from("/").join(TESTS))
            .option("--mode")
            .option(mode)
            .option("--env")
            .option("PATH=/bin")
            .memory("2 GiB")
            .argument("./runtest")
            .under(&["timeout", SECONDS_MAX])
            .patience(200);
        let machine = applets
            .iter()
            .fold(machine, |machine, applet| machine.argument(applet));
        let outcome = machine.run();
        let mut lines = verdicts(outcome.stdout());
        if outcome.status() == 124 {
            lines.push(format!("HANGS: after {SECONDS_MAX} s"));
        }
        lines
    }

    /// Runs the tests of these applets on the host, and here in these modes, all at the same time.
    pub fn compare(&self, applets: &[String], modes: &[&'static str]) -> Vec<Counts> {
        std::thread::scope(|scope| {
            let host = scope.spawn(|| self.run_on_host(applets));
            let here: Vec<_> = modes
                .iter()
                .map(|&mode| (mode, scope.spawn(move || self.run_here(applets, mode))))
                .collect();
            let host = host.join().expect("the tests run on the host");
            here.into_iter()
                .map(|(mode, thread)| {
                    Counts::new(mode, &host, &thread.join().expect("the tests run here"))
                })
                .collect()
        })
    }
}

impl Default for Suite {
    fn default() -> Self {
        Self::new()
    }
}

impl Counts {
    fn new(mode: &'static str, host: &Verdicts, here: &Verdicts) -> Self {
        let passes = |lines: &Verdicts| {
            let passes = lines.iter().filter(|line| line.starts_with("PASS: "));
            passes.count()
        };
        let only = |sign: char, of: &Verdicts, other: &Verdicts| {
            let mut rest = other.clone();
            let mut lines = Vec::new();
            for line in of {
                match rest.iter().position(|one| one == line) {
                    Some(index) => drop(rest.swap_remove(index)),
                    None => lines.push(format!("{sign} {line}")),
                }
            }
            lines
        };
        Self {
            mode,
            host: passes(host),
            here: passes(here),
            differences: [only('-', host, here), only('+', here, host)].concat(),
        }
    }
}

/// The applets of a busybox.
fn names(busybox: &Path) -> impl Iterator<Item = String> + use<> {
    let listed = Command::new(busybox)
        .arg("--list")
        .output()
        .expect("busybox runs");
    let text = String::from_utf8(listed.stdout).expect("names are text");
    text.lines()
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

/// The lines that tell how a test ended.
fn verdicts(output: &str) -> Verdicts {
    const VERDICTS: [&str; 4] = ["PASS: ", "FAIL: ", "SKIPPED: ", "UNTESTED: "];
    let mut lines: Verdicts = output
        .lines()
        .filter(|line| VERDICTS.iter().any(|verdict| line.starts_with(verdict)))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}
