//! Directories and archives of which everything is known.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use tar::EntryType;

use super::*;

/// A directory with one of each kind.
fn fixture(folder: &Path) {
    fs::create_dir(folder.join("d")).unwrap();
    fs::write(folder.join("d/file"), "contents").unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    fs::hard_link(folder.join("d/file"), folder.join("also")).unwrap();
    symlink("d/file", folder.join("link")).unwrap();
    fs::set_permissions(folder.join("d"), fs::Permissions::from_mode(0o750)).unwrap();
}

/// What an index says, one line for each path: mode, links, size.
fn describe(index: &index::Index) -> Vec<String> {
    let mut lines = Vec::new();
    index.for_each(&mut |path, mode, links, size| {
        lines.push(format!("{path} {mode:o} {links} {size}"));
    });
    lines
}

const EXPECTED: [&str; 6] = [
    " 40755 0 4",
    "/also 100644 2 8",
    "/d 40750 1 1",
    "/d/file 100644 2 8",
    "/empty 100644 1 0",
    "/link 120777 1 6",
];

fn umask_is_usual(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["d/file", "empty"] {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
}

#[test]
fn a_directory_is_shown_with_links_and_without_sockets() {
    let folder = tempfile::tempdir().unwrap();
    fixture(folder.path());
    umask_is_usual(folder.path());
    let _socket = UnixListener::bind(folder.path().join("socket")).unwrap();
    let mut files = AttachedFiles::behind(0);
    let index = directory::read(folder.path(), &mut files).unwrap();
    assert_eq!(describe(&index), EXPECTED);
    assert_eq!(files.blocks(), 1);
}

#[test]
fn an_archive_shows_what_its_directory_did() {
    let folder = tempfile::tempdir().unwrap();
    fixture(folder.path());
    umask_is_usual(folder.path());
    let path = folder.path().join("../root.tar");
    let path = path.with_file_name(format!(
        "{}.tar",
        folder.path().file_name().unwrap().display()
    ));
    let mut archive = tar::Builder::new(File::create(&path).unwrap());
    archive.follow_symlinks(false);
    archive.append_dir_all(".", folder.path()).unwrap();
    drop(archive.into_inner().unwrap());
    let Root::Archive(_, file, bytes) = Root::open(&path).unwrap() else {
        panic!("it is no archive");
    };
    let mut files = AttachedFiles::behind(0);
    let index = archive::read(&path, file, bytes, &mut files).unwrap();
    fs::remove_file(&path).unwrap();
    // The builder stores what has two names twice.
    let expected = EXPECTED.map(|line| line.replace(" 2 8", " 1 8"));
    assert_eq!(describe(&index), expected);
}

#[test]
fn names_that_lead_out_of_an_archive_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    let mut header = tar::Header::new_ustar();
    header.as_ustar_mut().unwrap().name[..5].copy_from_slice(b"a/../");
    header.set_size(0);
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(3 * 512, 0);
    fs::write(&path, &bytes).unwrap();
    let file = Arc::new(File::open(&path).unwrap());
    let error = archive::read(
        &path,
        file,
        bytes.len() as u64,
        &mut AttachedFiles::behind(0),
    );
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("a/../: its name leads out of the archive"),
        "{text}"
    );
}

#[test]
fn other_files_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root");
    for (bytes, expected) in [
        (&b"text"[..], "tar archive or ext4 image; name one of those"),
        (
            &[0x1f, 0x8b, 8],
            "it is compressed: unpack it first (gunzip)",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        let text = Root::open(&path).unwrap_err().to_string();
        assert!(text.ends_with(expected), "{text}");
    }
    let text = Root::open(&folder.path().join("nowhere")).unwrap_err();
    assert!(matches!(text, Error::MissingInput(_)), "{text}");
}
