//! Root file systems of Linux programs: a directory, an archive and an image, used as the host uses the same files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use exo_tests::linux::{MODES, build, busybox};
use exo_tests::{Machine, require_kvm};

/// A tree of files with a program in it.
fn fixture(folder: &Path, program: &Path) -> PathBuf {
    let root = folder.join("root");
    fs::create_dir_all(root.join("d")).unwrap();
    fs::write(root.join("d/file"), "a file").unwrap();
    fs::write(root.join("d/other"), "another").unwrap();
    fs::write(root.join("empty"), "").unwrap();
    symlink("d/file", root.join("link")).unwrap();
    let large: Vec<u8> = (0..100_003u32)
        .map(|number| (number * 7 / 3) as u8)
        .collect();
    fs::write(root.join("large"), large).unwrap();
    fs::copy(program, root.join("program")).unwrap();
    for name in ["d/file", "d/other", "empty", "large"] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    root
}

fn run(command: &mut Command) {
    let done = command
        .output()
        .expect("the tool is there; scripts/setup installs it");
    assert!(done.status.success(), "{command:?}: {done:?}");
}

/// The same tree as a directory, an archive and an image.
fn forms(folder: &Path, root: &Path) -> [PathBuf; 3] {
    let (archive, image) = (folder.join("root.tar"), folder.join("root.img"));
    run(Command::new("tar")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(root)
        .arg("."));
    run(Command::new("/sbin/mke2fs")
        .args(["-q", "-t", "ext4", "-d"])
        .args([root, &image])
        .arg("16M"));
    [root.to_owned(), archive, image]
}

/// Runs a program of `tests/linux` in each root file system in each mode, and on the host in a copy of it.
fn compare(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let program = build(folder.path(), name);
    let root = fixture(folder.path(), &program);
    let forms = forms(folder.path(), &root);
    let copy = fixture(&folder.path().join("host"), &program);
    let host = Command::new(copy.join("program"))
        .current_dir(&copy)
        .env_clear()
        .output()
        .unwrap();
    let expected = String::from_utf8(host.stdout).unwrap();
    for form in &forms {
        for mode in MODES {
            let outcome = Machine::new("/program")
                .option("--root")
                .option(form)
                .option("--mode")
                .option(mode)
                .run();
            assert_eq!(
                outcome.stdout(),
                expected,
                "{} {mode}: {}",
                form.display(),
                outcome.describe()
            );
        }
    }
    assert_eq!(
        fs::read_to_string(root.join("d/other")).unwrap(),
        "another",
        "the host's files stay"
    );
}

#[test]
fn files_of_each_root_file_system_are_used_as_on_the_host() {
    require_kvm!();
    compare("tree");
}

#[test]
fn files_of_each_root_file_system_are_mapped_as_on_the_host() {
    require_kvm!();
    compare("mappings");
}

#[test]
fn programs_are_found_by_path_and_start_in_their_working_directory() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let root = fixture(folder.path(), &busybox());
    fs::create_dir(root.join("bin")).unwrap();
    fs::rename(root.join("program"), root.join("bin/busybox")).unwrap();
    symlink("busybox", root.join("bin/cat")).unwrap();
    let machine = || Machine::new("cat").option("--root").option(&root);
    let outcome = machine()
        .option("--workdir")
        .option("/d")
        .argument("file")
        .argument("../link")
        .run()
        .expect_status(0);
    assert_eq!(outcome.stdout(), "a filea file");
    let refused = |machine: Machine, status, reason: &str| {
        let outcome = machine.run().expect_status(status);
        assert!(outcome.stderr().contains(reason), "{}", outcome.describe());
    };
    refused(
        machine().option("--workdir").option("/large"),
        126,
        "--workdir is no directory",
    );
    refused(
        Machine::new("nothing").option("--root").option(&root),
        126,
        "no folder of PATH",
    );
    refused(
        Machine::new("/large").option("--root").option(&root),
        126,
        "it may not be executed",
    );
    refused(
        Machine::new("x").option("--root").option("/nowhere"),
        66,
        "--root /nowhere does not exist",
    );
}

#[test]
fn another_user_may_do_what_the_modes_say() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let root = fixture(folder.path(), &busybox());
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(root.join("program"), root.join("busybox")).unwrap();
    fs::set_permissions(root.join("d"), fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(root.join("d"), Some(77), Some(88)).unwrap();
    let run = |user: &str, words: &[&str], status| {
        let mut machine = Machine::new("/busybox")
            .option("--root")
            .option(&root)
            .option("--user")
            .option(user);
        for word in words {
            machine = machine.argument(*word);
        }
        machine.run().expect_status(status)
    };
    assert_eq!(run("1000:100", &["id", "-u"], 0).stdout(), "1000\n");
    assert_eq!(run("1000:100", &["id", "-g"], 0).stdout(), "100\n");
    run("1000", &["cat", "/large"], 0);
    run("1000", &["cat", "/d/file"], 1);
    run("77", &["cat", "/d/file"], 0);
    run("1000", &["touch", "/new"], 1);
    run("1000", &["touch", "/tmp/new"], 0);
    run("0", &["touch", "/d/new"], 0);
}

#[test]
fn the_wall_clock_is_the_hosts() {
    require_kvm!();
    let outcome = Machine::new(busybox())
        .argument("date")
        .argument("+%s")
        .run()
        .expect_status(0);
    let time: u64 = outcome.stdout().trim().parse().unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!(time <= now && now < time + 60, "{time}, and it is {now}");
}
