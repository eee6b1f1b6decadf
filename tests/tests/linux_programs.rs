//! Programs that nobody here wrote, or their run-time libraries: SQLite, Lua, LuaJIT, Python, and the libraries of Rust, Go and C++. What they print
//! and how they end is what the host's Linux makes of them. `scripts/setup` installs what they are built with.

use std::path::{Path, PathBuf};
use std::process::Command;

use exo_tests::linux::MODES;
use exo_tests::{Machine, home, require_kvm};

/// Where the sources are.
fn source(name: &str) -> PathBuf {
    home::home().join("tests/linux/programs").join(name)
}

/// Builds a program; `words` are the compiler and its options, sources and output excepted.
fn build(folder: &Path, words: &[&str], name: &str, libraries: &[&str]) -> PathBuf {
    let program = folder.join("program");
    let [compiler, options @ ..] = words else {
        panic!("no compiler");
    };
    let done = Command::new(compiler)
        .args(options)
        .arg("-o")
        .arg(&program)
        .arg(source(name))
        .args(libraries)
        // What Go keeps of what it has built.
        .env("GOCACHE", folder.join("cache"))
        .env("GO111MODULE", "off")
        .env("CGO_ENABLED", "0")
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}; scripts/setup installs it"));
    assert!(
        done.status.success(),
        "{name} does not build: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    program
}

/// Runs a program on the host and here, in both modes; it finds `root` as its root file system here, and is in it there.
fn compare(program: &Path, arguments: &[&str], inputs: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::copy(program, root.join("program")).unwrap();
    for input in inputs {
        std::fs::copy(source(input), root.join(input)).unwrap();
    }
    let machines = MODES.map(|mode| {
        let machine = Machine::new("/program")
            .option("--root")
            .option(&root)
            .option("--mode")
            .option(mode);
        let mut machines = arguments
            .iter()
            .fold(machine, |machine, word| machine.argument(*word));
        machines = machines.option("--memory").option("2 GiB");
        (mode, machines.run())
    });
    let host = Command::new(root.join("program"))
        .args(arguments)
        .current_dir(&root)
        .env_clear()
        .output()
        .unwrap();
    for (mode, outcome) in machines {
        assert_eq!(
            (outcome.stdout(), outcome.status()),
            (
                String::from_utf8_lossy(&host.stdout).as_ref(),
                host.status.code().unwrap_or(-1)
            ),
            "mode {mode}\n{}",
            outcome.describe()
        );
    }
}

#[test]
fn sqlite_keeps_a_hundred_thousand_rows() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let libraries = ["-lsqlite3", "-lm", "-lpthread", "-ldl"];
    let program = build(
        folder.path(),
        &["cc", "-O2", "-static", "-w"],
        "database.c",
        &libraries,
    );
    compare(&program, &["rows.db", "100000"], &[]);
}

#[test]
fn lua_runs_its_script() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let words = ["cc", "-O2", "-static", "-w", "-I/usr/include/lua5.4"];
    let program = build(
        folder.path(),
        &words,
        "script.c",
        &["-llua5.4", "-lm", "-ldl"],
    );
    compare(&program, &["script.lua"], &["script.lua"]);
}

#[test]
fn luajit_compiles_and_runs_its_script() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let words = ["cc", "-O2", "-static", "-w", "-I/usr/include/luajit-2.1"];
    let program = build(
        folder.path(),
        &words,
        "machine.c",
        &["-lluajit-5.1", "-lm", "-ldl"],
    );
    compare(&program, &["machine.lua"], &["machine.lua"]);
}

/// The folder of the newest Python that can be linked statically, and what that is linked of.
fn python() -> (PathBuf, PathBuf) {
    let all = std::fs::read_dir("/usr/lib").unwrap();
    let found = all.flatten().find_map(|folder| {
        let name = folder.file_name().into_string().ok()?;
        let version = name.strip_prefix("python")?;
        let archive = format!("config-{version}-x86_64-linux-gnu/libpython{version}.a");
        let archive = folder.path().join(archive);
        archive.exists().then_some((folder.path(), archive))
    });
    found.expect("scripts/setup installs the archive of Python")
}

#[test]
fn python_runs_its_script() {
    require_kvm!();
    let [folder, here] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (library, archive) = python();
    let name = library.file_name().unwrap().to_str().unwrap();
    let include = format!("-I/usr/include/{name}");
    let words = ["cc", "-O2", "-static", "-w", &include];
    let archive = archive.to_str().unwrap();
    let libraries = [archive, "-lexpat", "-lz", "-lm", "-lpthread", "-ldl"];
    let program = build(folder.path(), &words, "interpreter.c", &libraries);
    let root = here.path();
    std::fs::copy(&program, root.join("program")).unwrap();
    std::fs::copy(source("script.py"), root.join("script.py")).unwrap();
    std::fs::create_dir_all(root.join("usr/lib")).unwrap();
    let copied = Command::new("cp")
        .arg("-rL")
        .args([&library, &root.join("usr/lib")])
        .status();
    assert!(copied.unwrap().success());
    let host = Command::new(root.join("program"))
        .args(
            ["-S", "/script.py"]
                .map(|word| word.replace("/script", root.join("script").to_str().unwrap())),
        )
        .env_clear()
        .env("PYTHONHOME", "/usr")
        .output()
        .unwrap();
    for mode in MODES {
        let outcome = Machine::new("/program")
            .option("--root")
            .option(root)
            .option("--mode")
            .option(mode)
            .option("--env")
            .option("PYTHONHOME=/usr")
            .memory("1 GiB")
            .argument("-S")
            .argument("/script.py")
            .run();
        let expected = String::from_utf8_lossy(&host.stdout);
        assert_eq!(outcome.stdout(), expected, "{mode}: {}", outcome.describe());
        assert_eq!(outcome.status(), host.status.code().unwrap_or(-1));
    }
}

#[test]
fn exceptions_and_threads_of_cpp_are_caught_and_joined() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let program = build(
        folder.path(),
        &["g++", "-O2", "-static", "-pthread"],
        "exceptions.cc",
        &[],
    );
    compare(&program, &[], &[]);
}

#[test]
fn threads_and_channels_of_rust_work() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "rustc",
        "-O",
        "--edition=2024",
        "-Ctarget-feature=+crt-static",
    ];
    let program = build(folder.path(), &words, "channels.rs", &[]);
    compare(&program, &[], &[]);
}

#[test]
fn goroutines_and_their_garbage_collector_work() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let program = build(folder.path(), &["go", "build"], "goroutines.go", &[]);
    compare(&program, &[], &[]);
}

/// A root file system with busybox under all its names, and a tree of files in `t`.
fn tools(folder: &Path) -> PathBuf {
    let root = folder.to_owned();
    let busybox = exo_tests::linux::busybox();
    for name in ["bin", "t/d"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    std::fs::copy(&busybox, root.join("bin/busybox")).unwrap();
    let names = Command::new(&busybox).arg("--list").output().unwrap();
    for name in String::from_utf8(names.stdout).unwrap().lines() {
        // It names itself too.
        let _ = std::os::unix::fs::symlink("busybox", root.join("bin").join(name));
    }
    std::fs::write(root.join("t/d/file"), "a file").unwrap();
    std::fs::write(root.join("t/d/other"), "another").unwrap();
    let large: Vec<u8> = (0..120_000u32)
        .map(|number| (number * 7 / 3) as u8)
        .collect();
    std::fs::write(root.join("t/large"), large).unwrap();
    std::fs::copy(source("tools.sh"), root.join("t/tools.sh")).unwrap();
    root
}

#[test]
fn busyboxs_shell_and_tools_do_a_days_work() {
    require_kvm!();
    let [here, there] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let root = tools(here.path());
    let machine = Machine::new("sh")
        .option("--root")
        .option(&root)
        .option("--workdir")
        .option("/t")
        .option("--env")
        .option("PATH=/bin")
        .argument("tools.sh");
    let outcome = machine.run();
    let root = tools(there.path());
    let host = Command::new(root.join("bin/sh"))
        .arg("tools.sh")
        .current_dir(root.join("t"))
        .env_clear()
        .env("PATH", root.join("bin"))
        .output()
        .unwrap();
    let expected = String::from_utf8_lossy(&host.stdout);
    assert_eq!(outcome.stdout(), expected, "{}", outcome.describe());
    assert_eq!(outcome.status(), host.status.code().unwrap_or(-1));
}

#[test]
fn programs_of_the_host_run_with_their_interpreter_and_libraries() {
    require_kvm!();
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new("/bin/ls");
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files = listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(Path::new)
        .chain([program]);
    for file in files {
        let copy = folder.path().join(file.strip_prefix("/").unwrap());
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(file, copy).unwrap();
    }
    std::fs::create_dir(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("d/file"), "a file").unwrap();
    for mode in MODES {
        let outcome = Machine::new("/bin/ls")
            .option("--root")
            .option(folder.path())
            .option("--mode")
            .option(mode)
            .argument("-l")
            .argument("/d/file")
            .argument("/nowhere")
            .run()
            .expect_status(2);
        assert!(outcome.stdout().contains(" 6 "), "{}", outcome.describe());
        assert!(
            outcome.stderr().contains("No such file or directory"),
            "{}",
            outcome.describe()
        );
    }
}
