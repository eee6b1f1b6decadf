//! ELF files that are right, and every way in which one can be wrong.

use super::*;
use crate::image::fixture::{Elf, WRITE};

/// Reads a file with these bytes.
fn read(bytes: &[u8]) -> Result<Executable, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, bytes).unwrap();
    Executable::read("program", &path)
}

/// The refusal of a file with these bytes.
fn refusal(bytes: &[u8]) -> String {
    let error = read(bytes).expect_err("must be refused");
    assert!(matches!(error, Error::BadInput(_)), "{error:?}");
    let message = error.to_string();
    assert!(
        !message.contains('\n') && message.contains("; "),
        "{message}"
    );
    message
}

#[test]
fn headers_and_notes_are_read() {
    let program = read(&Elf::program().bytes()).unwrap();
    assert_eq!((program.entry, program.pvh_entry), (0x40_0000, None));
    let [segment] = program.segments.as_slice() else {
        panic!("segments")
    };
    assert_eq!(
        (
            segment.address,
            segment.memory_size,
            segment.execute,
            segment.write
        ),
        (0x40_0000, 2, true, false)
    );
    assert_eq!(
        read(&Elf::kernel(&[0x90]).bytes()).unwrap().pvh_entry,
        Some(0x10_0000)
    );
}

#[test]
fn every_truncation_is_refused_without_a_panic() {
    let whole = Elf::program().bytes();
    for length in 0..whole.len() - 4 {
        let message = refusal(&whole[..length]);
        assert!(
            message.contains("truncated") || message.contains("not an ELF"),
            "{length}: {message}"
        );
    }
}

#[test]
fn every_changed_byte_is_survived() {
    let whole = Elf::kernel(&[0x90; 16]).bytes();
    for index in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[index] = value;
            if let Err(error) = read(&changed) {
                assert!(
                    matches!(error, Error::BadInput(_)),
                    "{index} {value}: {error:?}"
                );
            }
        }
    }
}

#[test]
fn other_kinds_of_files_are_refused_with_their_reason() {
    let program = Elf::program();
    let change = |change: fn(&mut Elf)| {
        let mut changed = program.clone();
        change(&mut changed);
        refusal(&changed.bytes())
    };
    for (message, reason) in [
        (
            refusal(b"#!/bin/sh\necho hello, this is long enough for a header of an ELF file\n"),
            "is not an ELF file",
        ),
        (
            change(|elf| elf.machine = 183),
            "is not an ELF file for x86-64",
        ),
        (
            change(|elf| elf.kind = 3),
            "is not a fixed-address executable",
        ),
        (
            change(|elf| elf.interpreter = true),
            "is dynamically linked",
        ),
        (
            change(|elf| elf.abi_version = None),
            "has no ABI note (.note.exo)",
        ),
        (
            change(|elf| elf.abi_version = Some(ABI_VERSION + 1)),
            "is built for ABI version 2",
        ),
        (change(|elf| elf.parts.clear()), "has nothing to load"),
        (
            change(|elf| elf.parts[0].memory_size = 1),
            "impossible sizes",
        ),
        (
            change(|elf| elf.parts[0].address = u64::MAX),
            "impossible sizes",
        ),
        (
            change(|elf| elf.parts[0].memory_size = u64::MAX),
            "impossible sizes",
        ),
        (
            change(|elf| elf.parts = vec![elf.parts[0].clone(); 65]),
            "more than 64 program headers",
        ),
    ] {
        assert!(message.contains(reason), "{reason:?} is not in {message:?}");
    }
}

#[test]
fn sparse_giants_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, Elf::program().bytes()).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(FILE_BYTES_MAX + 1).unwrap();
    let message = Executable::read("program", &path).unwrap_err().to_string();
    assert!(
        message.contains("more than the 268435456 that are allowed; strip it"),
        "{message}"
    );
}

#[test]
fn missing_files_are_told_apart() {
    let error = Executable::read("kernel", Path::new("/no/such/kernel")).unwrap_err();
    assert!(
        matches!(&error, Error::MissingInput(text) if text.contains("scripts/build")),
        "{error:?}"
    );
}

#[test]
fn segments_are_sorted_by_address() {
    let mut elf = Elf::program();
    let mut data = elf.parts[0].clone();
    data.address = 0x30_0000;
    data.flags = WRITE;
    elf.parts.push(data);
    let program = read(&elf.bytes()).unwrap();
    assert_eq!(
        program
            .segments
            .iter()
            .map(|one| one.address)
            .collect::<Vec<_>>(),
        [0x30_0000, 0x40_0000]
    );
}
