//! A tar archive as a root file system: it is mapped as a whole, and the index says where in it a file lies.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use tar::{Archive, Entry, EntryType};

use super::index::{Attributes, Content, Index};
use crate::error::Error;
use crate::image::attachment::AttachedFiles;

/// Reads the headers of an archive of `bytes` bytes.
pub(super) fn read(
    path: &Path,
    file: Arc<File>,
    bytes: u64,
    files: &mut AttachedFiles,
) -> Result<Index, Error> {
    let bad = |what: &str| Error::BadInput(format!("archive {}: {what}", path.display()));
    let broken = |error: std::io::Error| bad(&format!("{error}; make it anew (tar -cf)"));
    let start = files.add_file(file.clone(), bytes);
    let mut index = Index::new();
    let mut archive = Archive::new(BufReader::new(file.as_ref()));
    for entry in archive.entries_with_seek().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let name = entry.path_bytes().into_owned();
        let refused = |why: &str| bad(&format!("{}: {why}", String::from_utf8_lossy(&name)));
        let Some((directory, last)) = place(&mut index, &name) else {
            return Err(refused(
                "its name leads out of the archive; make it anew (tar -cf)",
            ));
        };
        let attributes = attributes(&entry).map_err(broken)?;
        let link = || entry.link_name_bytes().unwrap_or_default().into_owned();
        let content = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let data = start + entry.raw_file_position();
                Content::Regular(data, entry.size())
            }
            EntryType::Directory => {
                let made = last.map_or(0, |name| index.subdirectory(directory, name));
                index.set_attributes(made, attributes);
                continue;
            }
            EntryType::Symlink => Content::Link(link()),
            EntryType::Link => {
                let target = link();
                let found = place(&mut index, &target)
                    .and_then(|(directory, name)| index.find(directory, name?));
                let Some(found) = found else {
                    return Err(refused(
                        "it is a link to what is not there; make it anew (tar -cf)",
                    ));
                };
                if let Some(last) = last {
                    index.link(directory, last, found);
                }
                continue;
            }
            EntryType::Char => Content::Device(libc::S_IFCHR, device(&entry)),
            EntryType::Block => Content::Device(libc::S_IFBLK, device(&entry)),
            EntryType::GNUSparse => {
                return Err(refused(
                    "it is stored as a sparse file; make it anew without --sparse",
                ));
            }
            // Pipes have no contents, and headers of the archive as a whole name nothing.
            _ => continue,
        };
        if let Some(last) = last {
            let node = index.add(attributes, content);
            index.link(directory, last, node);
        }
    }
    Ok(index)
}

/// The directory of a path, with all above it, and the last name; none for the root directory itself. `None` where `..` is in it.
fn place<'n>(index: &mut Index, path: &'n [u8]) -> Option<(usize, Option<&'n [u8]>)> {
    let mut names = path
        .split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .peekable();
    let mut directory = 0;
    while let Some(name) = names.next() {
        if name == b".." {
            return None;
        }
        if names.peek().is_none() {
            return Some((directory, Some(name)));
        }
        directory = index.subdirectory(directory, name);
    }
    Some((directory, None))
}

fn attributes(entry: &Entry<'_, impl std::io::Read>) -> std::io::Result<Attributes> {
    let header = entry.header();
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(Attributes {
        permissions: header.mode()? & 0o7777,
        user: number(header.uid()?),
        group: number(header.gid()?),
        modified: header.mtime()?.saturating_mul(1_000_000_000),
    })
}

fn device(entry: &Entry<'_, impl std::io::Read>) -> u64 {
    let number = |number: std::io::Result<Option<u32>>| number.ok().flatten().unwrap_or(0);
    let header = entry.header();
    libc::makedev(number(header.device_major()), number(header.device_minor()))
}
