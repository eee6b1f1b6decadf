//! Errors from outside the machine: one line that says what, where and how to mend it, and a documented exit status.

use std::path::Path;

use exo_tests::{Disk, Guest, Machine, Outcome, guest, host, require_kvm};

const USAGE: i32 = 2;
const BAD_INPUT: i32 = 65;
const MISSING_INPUT: i32 = 66;
const NO_KVM: i32 = 69;
const NOT_PERMITTED: i32 = 77;

const HELLO: &str = "description = \"test\"\n[[environment]]\nname = \"hello\"\nprogram = \"hello\"\nconsole = true\n";

/// The run was refused with `status`, in one line that holds all of `words`, and nothing ran.
fn refused(outcome: &Outcome, status: i32, words: &[&str]) {
    assert_eq!(outcome.status(), status, "{}", outcome.describe());
    assert_eq!(outcome.stdout(), "", "{}", outcome.describe());
    let line = outcome.stderr().trim_end_matches('\n');
    assert!(
        !line.is_empty() && !line.contains('\n'),
        "not one line\n{}",
        outcome.describe()
    );
    assert!(line.starts_with("exo: "), "{line}");
    for word in words {
        assert!(line.contains(word), "no {word:?} in: {line}");
    }
    // What and where come first, then how to mend it.
    let advice = line.contains("; ") || line.contains("expected");
    assert!(advice, "no advice in: {line}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are plain text")
}

#[test]
fn manifest_that_does_not_exist() {
    refused(
        &Machine::new("no-such-image").run(),
        MISSING_INPUT,
        &["manifest", "no-such-image", "exo images"],
    );
    refused(
        &Machine::new("/no/such/file.toml").run(),
        MISSING_INPUT,
        &["manifest", "/no/such/file.toml"],
    );
}

#[test]
fn manifest_that_is_truncated() {
    let files = Guest::copy(&["hello"]);
    let manifest = files.manifest(&HELLO[..HELLO.len() - 6]);
    refused(
        &Machine::new(&manifest).guest(&files).run(),
        BAD_INPUT,
        &["manifest", "test.toml"],
    );
}

#[test]
fn manifest_that_is_too_large() {
    let files = Guest::copy(&["hello"]);
    let manifest = files.manifest(HELLO);
    guest::enlarge(Path::new(&manifest), 1 << 30);
    refused(
        &Machine::new(&manifest).guest(&files).run(),
        BAD_INPUT,
        &["manifest", "test.toml"],
    );
}

#[test]
fn manifest_that_is_no_text() {
    let files = Guest::copy(&["hello"]);
    let manifest = files.manifest("");
    std::fs::write(Path::new(&manifest), [0xff, 0xfe, 0x00]).unwrap();
    refused(
        &Machine::new(&manifest).guest(&files).run(),
        BAD_INPUT,
        &["manifest", "test.toml"],
    );
}

#[test]
fn manifest_with_a_key_that_does_not_exist() {
    let files = Guest::copy(&["hello"]);
    let manifest = files.manifest(&format!("{HELLO}colour = \"red\"\n"));
    refused(
        &Machine::new(&manifest).guest(&files).run(),
        BAD_INPUT,
        &["test.toml", "colour"],
    );
}

#[test]
fn manifest_without_an_environment() {
    let files = Guest::copy(&["hello"]);
    let manifest = files.manifest("description = \"nothing\"\n");
    refused(
        &Machine::new(&manifest).guest(&files).run(),
        BAD_INPUT,
        &["test.toml", "environment"],
    );
}

#[test]
fn manifest_that_names_a_function_which_it_does_not_have() {
    let files = Guest::copy(&["hello"]);
    let manifest = files.manifest(&format!("{HELLO}functions = [\"disk\"]\n"));
    refused(
        &Machine::new(&manifest).guest(&files).run(),
        BAD_INPUT,
        &["test.toml", "disk"],
    );
}

#[test]
fn kernel_that_does_not_exist() {
    let files = Guest::copy(&["hello"]);
    std::fs::remove_file(files.kernel()).unwrap();
    refused(
        &Machine::new("hello").guest(&files).run(),
        MISSING_INPUT,
        &["kernel", text(&files.kernel()), "scripts/build"],
    );
}

#[test]
fn kernel_that_is_truncated() {
    let files = Guest::copy(&["hello"]);
    let whole = std::fs::metadata(files.kernel()).unwrap().len();
    for bytes in [0, 3, 60, 200, whole / 2] {
        guest::truncate(&files.kernel(), bytes);
        refused(
            &Machine::new("hello").guest(&files).run(),
            BAD_INPUT,
            &["kernel", text(&files.kernel())],
        );
        std::fs::copy(Guest::copy(&[]).kernel(), files.kernel()).unwrap();
    }
}

#[test]
fn kernel_that_is_no_elf_file() {
    let files = Guest::copy(&["hello"]);
    std::fs::write(files.kernel(), [b'x'; 10_000]).unwrap();
    refused(
        &Machine::new("hello").guest(&files).run(),
        BAD_INPUT,
        &["kernel", "ELF", text(&files.kernel())],
    );
}

#[test]
fn kernel_of_another_version() {
    let files = Guest::copy(&["hello"]);
    guest::set_abi_version(&files.kernel(), 9999);
    refused(
        &Machine::new("hello").guest(&files).run(),
        BAD_INPUT,
        &["kernel", "9999", text(&files.kernel())],
    );
}

#[test]
fn kernel_that_is_too_large() {
    let files = Guest::copy(&["hello"]);
    guest::enlarge(&files.kernel(), 1 << 34);
    refused(
        &Machine::new("hello").guest(&files).run(),
        BAD_INPUT,
        &["kernel", text(&files.kernel())],
    );
}

#[test]
fn program_that_does_not_exist() {
    let files = Guest::copy(&[]);
    refused(
        &Machine::new("hello").guest(&files).run(),
        MISSING_INPUT,
        &["program", text(&files.program("hello"))],
    );
}

#[test]
fn program_that_is_truncated() {
    let files = Guest::copy(&["hello"]);
    let program = files.program("hello");
    let whole = std::fs::metadata(&program).unwrap().len();
    for bytes in [0, 3, 60, 200, whole / 2] {
        guest::truncate(&program, bytes);
        refused(
            &Machine::new("hello").guest(&files).run(),
            BAD_INPUT,
            &["program", text(&program)],
        );
        std::fs::copy(Guest::copy(&["hello"]).program("hello"), &program).unwrap();
    }
}

#[test]
fn program_that_is_no_elf_file() {
    let files = Guest::copy(&["hello"]);
    std::fs::write(files.program("hello"), "#!/bin/sh\necho hello\n").unwrap();
    refused(
        &Machine::new("hello").guest(&files).run(),
        BAD_INPUT,
        &["program", "ELF", text(&files.program("hello"))],
    );
}

#[test]
fn program_of_another_version() {
    let files = Guest::copy(&["hello"]);
    guest::set_abi_version(&files.program("hello"), 9999);
    refused(
        &Machine::new("hello").guest(&files).run(),
        BAD_INPUT,
        &["program", "9999", text(&files.program("hello"))],
    );
}

#[test]
fn program_that_is_too_large() {
    let files = Guest::copy(&["hello"]);
    guest::enlarge(&files.program("hello"), 1 << 34);
    refused(
        &Machine::new("hello").guest(&files).run(),
        BAD_INPUT,
        &["program", text(&files.program("hello"))],
    );
}

#[test]
fn program_that_was_built_for_another_system() {
    let files = Guest::copy(&["hello"]);
    std::fs::copy(std::env::current_exe().unwrap(), files.program("hello")).unwrap();
    refused(
        &Machine::new("hello").guest(&files).run(),
        BAD_INPUT,
        &["program", text(&files.program("hello"))],
    );
}

#[test]
fn disk_that_does_not_exist() {
    let outcome = Machine::new("hash").disk(Path::new("/no/such/disk")).run();
    refused(&outcome, MISSING_INPUT, &["disk", "/no/such/disk"]);
}

#[test]
fn disk_that_is_empty() {
    let disk = Disk::with_size(0);
    refused(
        &Machine::new("hash").disk(disk.path()).run(),
        BAD_INPUT,
        &["disk", "empty", text(disk.path())],
    );
}

#[test]
fn disk_that_is_no_multiple_of_a_sector() {
    let disk = Disk::with_size(1000);
    refused(
        &Machine::new("hash").disk(disk.path()).run(),
        BAD_INPUT,
        &["disk", "512", "1000", text(disk.path())],
    );
}

#[test]
fn disk_that_is_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        &Machine::new("hash").disk(folder.path()).run(),
        BAD_INPUT,
        &["disk", text(folder.path())],
    );
}

#[test]
fn disk_that_the_image_has_no_use_for() {
    let disk = Disk::with_size(512);
    refused(
        &Machine::new("hello").disk(disk.path()).run(),
        USAGE,
        &["disk"],
    );
}

#[test]
fn memory_that_is_too_little() {
    refused(
        &Machine::new("hello").memory("2 MiB").run(),
        USAGE,
        &["memory", "MiB"],
    );
    refused(&Machine::new("hello").memory("0").run(), USAGE, &["memory"]);
}

#[test]
fn no_vcpus_or_too_many() {
    refused(&Machine::new("hello").vcpus(0).run(), USAGE, &["vcpus"]);
    refused(
        &Machine::new("hello").vcpus(100_000).run(),
        USAGE,
        &["vcpus"],
    );
}

/// Runs `script` as root of a private set of mounts, then `exo` in place of its `"$@"`; or says why it cannot.
fn with_private_devices(script: &str) -> Option<Outcome> {
    let probe = std::process::Command::new("unshare")
        .args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"])
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        host::skip("only root can hide /dev/kvm from a process (unshare -m)");
        return None;
    }
    Some(
        Machine::new("hello")
            .under(&["unshare", "-m", "sh", "-c", script, "sh"])
            .run(),
    )
}

#[test]
fn no_dev_kvm() {
    if let Some(outcome) = with_private_devices("mount -t tmpfs none /dev && exec \"$@\"") {
        refused(&outcome, NO_KVM, &["/dev/kvm"]);
    }
}

#[test]
fn a_dev_kvm_that_is_something_else() {
    require_kvm!();
    if let Some(outcome) = with_private_devices("mount --bind /dev/null /dev/kvm && exec \"$@\"") {
        refused(&outcome, NO_KVM, &["/dev/kvm"]);
    }
}

#[test]
fn no_permission_for_dev_kvm() {
    let script = "mount -t tmpfs none /dev && mknod -m 0 /dev/kvm c 10 232 && \
                  exec setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-all \"$@\"";
    if let Some(outcome) = with_private_devices(script) {
        refused(&outcome, NOT_PERMITTED, &["/dev/kvm", "kvm"]);
    }
}
