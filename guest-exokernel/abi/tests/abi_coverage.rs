//! Each call has, under its one name: a section in ABI.md, a stub in libos/rt, a handler in the kernel.

use std::path::{Path, PathBuf};

use exo_abi::{Call, Error};

/// The text of every file under `folder` with this extension.
fn read_all(folder: &Path, extension: &str) -> String {
    let mut text = String::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    text
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The section of ABI.md under the heading of `call`.
fn section_of(call: Call) -> Option<String> {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ABI.md")).unwrap();
    let (_, rest) = text.split_once(&format!("\n### {}\n", call.name()))?;
    Some(rest.split("\n#").next().unwrap_or_default().to_owned())
}

#[test]
fn every_call_has_a_section_with_arguments_errors_and_cost() {
    for call in Call::ALL {
        let section = section_of(*call).unwrap_or_else(|| {
            panic!("ABI.md has no section `### {call}`: write one with arguments, errors and cost")
        });
        for part in ["Number:", "Arguments:", "Returns:", "Errors:", "Cost:"] {
            assert!(
                section.contains(part),
                "ABI.md, section {call}: no line `{part}`"
            );
        }
        let number = format!("`{:#x}`", *call as u32);
        assert!(
            section.contains(&number),
            "ABI.md, section {call}: its number is {number}"
        );
    }
}

#[test]
fn every_error_that_a_section_names_exists_and_every_error_is_named() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ABI.md")).unwrap();
    for error in Error::ALL {
        let row = format!("| {} | `{error}` |", *error as u64);
        assert!(
            text.contains(&row),
            "ABI.md has no row {row} in its table of errors"
        );
    }
    for call in Call::ALL {
        let section = section_of(*call).unwrap_or_default();
        let errors = section.split_once("Errors:").map_or("", |(_, rest)| rest);
        let errors = errors.split("Cost:").next().unwrap_or_default();
        for name in errors.split('`').skip(1).step_by(2) {
            assert!(
                !name.contains('-') || Error::ALL.iter().any(|error| error.name() == name),
                "ABI.md, section {call}: there is no error `{name}`"
            );
        }
    }
}

#[test]
fn every_call_has_a_stub_in_the_runtime() {
    let runtime = read_all(&root().join("libos/rt/src"), "rs");
    for call in Call::ALL {
        assert!(
            runtime.contains(&format!("fn {}(", call.name())),
            "libos/rt has no function {call}"
        );
    }
}

#[test]
fn every_call_has_a_handler_in_the_kernel() {
    let kernel = read_all(&root().join("guest-exokernel/kernel/src"), "rs");
    for call in Call::ALL {
        assert!(
            kernel.contains(&format!("Call::{call:?}")),
            "the kernel does not handle {call}"
        );
    }
}
