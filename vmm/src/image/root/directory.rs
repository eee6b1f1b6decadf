//! A directory of the host as a root file system: its names are read now, its contents when somebody asks for them.
//!
//! As with `find -xdev`, what is mounted below it is not shown; neither are sockets.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use exo_abi::file_index::UNREADABLE;
use rustix::fs::{Access, access};

use super::index::{Attributes, Content, Index};
use crate::error::Error;
use crate::image::attachment::AttachedFiles;

/// Mappings that one process can have (`vm.max_map_count`), where the host does not tell.
const MAPPINGS_MAX: usize = 65530;
/// How many of them are ours, for everything else.
const OWN_MAPPINGS: usize = 1000;

/// Reads all names below `root`.
pub(super) fn read(root: &Path, files: &mut AttachedFiles) -> Result<Index, Error> {
    let failed = |path: &Path, error| {
        Error::file(
            "directory of --root",
            path,
            &error,
            "it was there a moment ago: try again",
        )
    };
    let metadata = fs::metadata(root).map_err(|error| failed(root, error))?;
    let device = metadata.dev();
    let mut index = Index::new();
    index.set_attributes(0, attributes(&metadata));
    let mut known: HashMap<u64, usize> = HashMap::new();
    let mut folders: Vec<(PathBuf, usize)> = vec![(root.to_owned(), 0)];
    let mut mapped = 0;
    while let Some((folder, number)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // As a program of this user would find it.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => continue,
            Err(error) => return Err(failed(&folder, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| failed(&folder, error))?;
            // What has gone meanwhile is not there.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let path = entry.path();
            let linked = metadata.nlink() > 1 && !metadata.is_dir();
            let node = match known.get(&metadata.ino()).copied().filter(|_| linked) {
                Some(node) => node,
                None => {
                    let Some(content) = content(&path, &metadata, files)? else {
                        continue;
                    };
                    mapped +=
                        usize::from(matches!(&content, Content::Regular(_, size) if *size != 0));
                    index.add(attributes(&metadata), content)
                }
            };
            if linked {
                known.insert(metadata.ino(), node);
            }
            index.link(number, entry.file_name().as_bytes(), node);
            if metadata.is_dir() && metadata.dev() == device {
                folders.push((path, node));
            }
        }
    }
    check_mappings(root, mapped)?;
    Ok(index)
}

fn content(
    path: &Path,
    metadata: &Metadata,
    files: &mut AttachedFiles,
) -> Result<Option<Content>, Error> {
    let kind = metadata.file_type();
    Ok(if kind.is_dir() {
        Some(Content::Directory(BTreeMap::new()))
    } else if kind.is_symlink() {
        let target = fs::read_link(path).map_err(|error| {
            Error::file(
                "link of --root",
                path,
                &error,
                "it was there a moment ago: try again",
            )
        })?;
        Some(Content::Link(target.as_os_str().as_bytes().to_vec()))
    } else if kind.is_file() {
        let size = metadata.len();
        let data = match access(path, Access::READ_OK) {
            Ok(()) => files.add_path(path.to_owned(), size),
            Err(_) => UNREADABLE,
        };
        Some(Content::Regular(data, size))
    } else if kind.is_char_device() || kind.is_block_device() {
        let kind = metadata.mode() & libc::S_IFMT;
        Some(Content::Device(kind, metadata.rdev()))
    } else {
        None
    })
}

fn attributes(metadata: &Metadata) -> Attributes {
    let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
    let nanoseconds = u64::try_from(metadata.mtime_nsec()).unwrap_or(0);
    Attributes {
        permissions: metadata.mode() & 0o7777,
        user: metadata.uid(),
        group: metadata.gid(),
        modified: seconds.saturating_mul(1_000_000_000) + nanoseconds,
    }
}

/// Each file is a mapping of its own (mmap(2), ENOMEM).
fn check_mappings(root: &Path, mapped: usize) -> Result<(), Error> {
    let most = fs::read_to_string("/proc/sys/vm/max_map_count")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(MAPPINGS_MAX)
        .saturating_sub(OWN_MAPPINGS);
    if mapped <= most {
        return Ok(());
    }
    Err(Error::BadInput(format!(
        "--root {path} has {mapped} files, more than the {most} that this host maps for one process; make an archive of it (tar -cf root.tar -C {path} .), or raise vm.max_map_count (sysctl)",
        path = root.display()
    )))
}
