//! Rules about the source itself that no compiler checks. `scripts/check` runs these beside formatter and lints.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Most lines of a file.
const LINES_MAX: usize = 500;
/// The list of files that may hold unsafe code or assembly, each with its reason.
const UNSAFE_LIST: &str = "scripts/unsafe-files.txt";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the project is where it was built")
}

/// Every file of the project, relative to its root, that is not made by a build.
fn files() -> Vec<PathBuf> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the project can be read") {
            let path = entry
                .expect("a folder of the project can be read to its end")
                .path();
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() {
                if name != "target" && name != ".git" {
                    folders.push(path);
                }
            } else if let Ok(relative) = path.strip_prefix(&root) {
                found.push(relative.to_owned());
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "this is not the project: {found:?}");
    found
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(root().join(path)).expect("a file can be read"))
        .into_owned()
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .is_some_and(|found| extensions.iter().any(|extension| found == *extension))
}

/// Whether the line, comments and text apart, uses what only listed files may use.
fn is_unsafe(line: &str) -> bool {
    let mut code = String::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 0 {
            code.push_str(part);
            code.push(' ');
        }
    }
    let code = code.split("//").next().unwrap_or_default();
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|word| {
            matches!(
                word,
                "unsafe" | "unsafe_code" | "asm" | "global_asm" | "naked_asm"
            )
        })
        && !code.contains("forbid(unsafe_code)")
        && !code.contains("deny(unsafe_code)")
}

#[test]
fn unsafe_code_stands_only_in_listed_files() {
    let list = read(Path::new(UNSAFE_LIST));
    let mut listed = BTreeSet::new();
    for line in list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (path, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        assert!(
            reason.trim().len() >= 10,
            "{UNSAFE_LIST}: {path} stands there without a reason"
        );
        listed.insert(PathBuf::from(path));
    }
    let used: BTreeSet<PathBuf> = files()
        .into_iter()
        .filter(|path| {
            has_extension(path, &["S", "s"])
                || (has_extension(path, &["rs"]) && read(path).lines().any(is_unsafe))
        })
        .filter(|path| path != Path::new("tests/tests/source_rules.rs"))
        .collect();
    let unlisted: Vec<_> = used.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&used).collect();
    assert!(
        unlisted.is_empty(),
        "unsafe code or assembly in files that {UNSAFE_LIST} does not list: {unlisted:?}; move it to a listed file, or add \
         a line with the reason"
    );
    assert!(
        stale.is_empty(),
        "{UNSAFE_LIST} lists files without unsafe code: {stale:?}; remove their lines"
    );
}

#[test]
fn unsafe_code_is_recognised() {
    for line in [
        "unsafe { x() }",
        "    core::arch::asm!(",
        "#[unsafe(no_mangle)]",
        "#![allow(unsafe_code)]",
    ] {
        assert!(is_unsafe(line), "{line}");
    }
    for line in [
        "// unsafe",
        "let text = \"unsafe\";",
        "#![forbid(unsafe_code)]",
        "let unsafely = 1;",
    ] {
        assert!(!is_unsafe(line), "{line}");
    }
}

#[test]
fn crates_depend_only_on_the_layers_below() {
    // Which of our crates each may use in what it ships; tests may use more.
    let allowed: &[(&str, &[&str])] = &[
        ("exo-abi", &[]),
        ("exo-ledger", &["exo-abi"]),
        ("exo-verifier", &["exo-abi"]),
        ("exo-lock", &[]),
        (
            "exo-kernel",
            &["exo-abi", "exo-ledger", "exo-lock", "exo-verifier"],
        ),
        ("exo-rt", &["exo-abi"]),
        ("exo-drivers", &["exo-abi", "exo-rt"]),
        ("exo-linux", &["exo-abi", "exo-rt", "exo-drivers"]),
        ("exo-programs", &["exo-abi", "exo-rt", "exo-drivers"]),
        ("exo-classifier", &["exo-abi", "exo-verifier"]),
        ("vmm", &["exo-abi"]),
        ("exo-tests", &["exo-abi"]),
    ];
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--no-deps",
            "--locked",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo can run");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"]
        .as_array()
        .expect("cargo lists packages");
    let ours: BTreeSet<&str> = packages
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    for package in packages {
        let name = package["name"].as_str().expect("a package has a name");
        let Some((_, below)) = allowed.iter().find(|(layer, _)| *layer == name) else {
            panic!("{name} has no place in the layers; give it one in tests/tests/source_rules.rs");
        };
        let dependencies = package["dependencies"]
            .as_array()
            .expect("a package has dependencies");
        for dependency in dependencies {
            let to = dependency["name"]
                .as_str()
                .expect("a dependency has a name");
            let shipped = dependency["kind"].as_str() != Some("dev");
            assert!(
                !ours.contains(to) || !shipped || below.contains(&to),
                "{name} depends on {to}, which is not a layer below it"
            );
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_bear() {
    for path in files() {
        let is_script = path.starts_with("scripts") || path.starts_with(".ci");
        if has_extension(&path, &["rs", "S", "ld", "toml", "md"]) || is_script {
            let lines = read(&path).lines().count();
            assert!(
                lines <= LINES_MAX,
                "{} has {lines} lines; split it by subject, {LINES_MAX} is the most",
                path.display()
            );
        }
    }
}

#[test]
fn every_source_file_starts_with_what_it_owns() {
    for path in files() {
        if has_extension(&path, &["rs"]) {
            assert!(
                read(&path).starts_with("//!"),
                "{} does not start with a `//!` line that says what it owns",
                path.display()
            );
        }
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for path in files() {
        if !has_extension(&path, &["md"]) {
            continue;
        }
        let text = read(&path);
        for part in text.split("](").skip(1) {
            let link = part.split([')', ' ']).next().unwrap_or_default();
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let target = root()
                .join(path.parent().unwrap_or(Path::new("")))
                .join(file);
            assert!(
                target.exists(),
                "{} links to {link}, which does not exist",
                path.display()
            );
        }
    }
}

#[test]
fn nothing_is_kept_equal_by_a_comment() {
    let phrase = ["keep", "in", "sync"].join(" ");
    for path in files() {
        if has_extension(&path, &["rs", "S", "ld", "toml"]) {
            assert!(
                !read(&path).to_lowercase().contains(&phrase),
                "{}: `{phrase}`: define it once instead, best in exo-abi",
                path.display()
            );
        }
    }
}

#[test]
fn the_threat_model_names_every_attack() {
    let design = read(Path::new("DESIGN.md"));
    let words: BTreeSet<&str> = design
        .split(|c: char| !c.is_alphanumeric() && c != '-')
        .collect();
    let images = std::fs::read_dir(root().join("images/attacks")).expect("there are attacks");
    for image in images {
        let path = image.expect("the folder can be read").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        assert!(
            words.contains(name.as_ref()),
            "no line of the threat model in DESIGN.md names the attack {name}"
        );
    }
}
