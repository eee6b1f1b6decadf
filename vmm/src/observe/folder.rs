//! Where control sockets lie: one per running machine, in a folder that only its user can open.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Most bytes of a machine's name.
const NAME_MAX: usize = 64;

/// The folder of this user's sockets: `$XDG_RUNTIME_DIR/exo`, or `/tmp/exo-UID`.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Finds it; it need not exist yet.
    pub fn find() -> Self {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let uid = rustix::process::geteuid().as_raw();
        Self(match runtime.filter(|path| path.is_absolute()) {
            Some(path) => path.join("exo"),
            None => format!("/tmp/exo-{uid}").into(),
        })
    }

    /// Makes it, if it is not there. One that somebody else could look into is refused.
    pub fn make(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.check()
    }

    /// Whether it is a folder of this user's own, closed to all others.
    fn check(&self) -> io::Result<()> {
        let found = std::fs::symlink_metadata(&self.0)?;
        let own = found.is_dir()
            && found.uid() == rustix::process::geteuid().as_raw()
            && found.mode() & 0o077 == 0;
        if own {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{} is not this user's own, or open to others",
                    self.0.display()
                ),
            ))
        }
    }

    /// The socket of the machine with this name.
    pub fn socket(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names in the folder, in order. Some may be left over from machines that were killed.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let failed = |error: &io::Error| {
            Error::file(
                "folder of control sockets",
                &self.0,
                error,
                "start a machine",
            )
        };
        if let Err(error) = self.check() {
            return match error.kind() {
                io::ErrorKind::NotFound => Ok(Vec::new()),
                _ => Err(failed(&error)),
            };
        }
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.0).map_err(|error| failed(&error))? {
            let entry = entry.map_err(|error| failed(&error))?;
            names.extend(entry.file_name().into_string().ok());
        }
        names.sort();
        Ok(names)
    }
}

/// A name for a machine that was given none: that of its image, and the process.
pub fn default_name(image: &str) -> String {
    let stem = Path::new(image).file_stem().unwrap_or_default();
    let mut name: String = stem
        .to_string_lossy()
        .chars()
        .map(|character| if is_plain(character) { character } else { '-' })
        .take(NAME_MAX / 2)
        .collect();
    if name.starts_with('.') || name.is_empty() {
        name.insert(0, 'm');
    }
    format!("{name}-{}", std::process::id())
}

/// Whether this can be the name of a machine.
pub fn check_name(name: &str) -> Result<(), Error> {
    let good = !name.is_empty()
        && name.len() <= NAME_MAX
        && !name.starts_with('.')
        && name.chars().all(is_plain);
    if good {
        Ok(())
    } else {
        Err(Error::Usage(format!(
            "`{name}` cannot be the name of a machine; use 1 to {NAME_MAX} letters, digits, `-`, `_` and `.`, a letter or digit first"
        )))
    }
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_.".contains(character)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["a", "two-hashes-12", "A_b.c"] {
            check_name(name).unwrap();
        }
        let long = "x".repeat(NAME_MAX + 1);
        for name in ["", ".", "..", "a/b", "a b", long.as_str(), "ä"] {
            check_name(name).unwrap_err();
        }
        for image in ["hello", "attacks/dma-ring", "/tmp/a b.toml", "..", "/", ""] {
            check_name(&default_name(image)).unwrap();
        }
    }

    #[test]
    fn a_folder_that_others_can_open_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder(outer.path().join("exo"));
        assert!(folder.names().unwrap().is_empty());
        folder.make().unwrap();
        folder.make().unwrap();
        std::fs::write(folder.socket("one"), "").unwrap();
        assert_eq!(folder.names().unwrap(), ["one"]);
        let open = std::fs::Permissions::from_mode(0o750);
        std::fs::set_permissions(&folder.0, open).unwrap();
        folder.make().unwrap_err();
        folder.names().unwrap_err();
        let link = Folder(outer.path().join("link"));
        std::os::unix::fs::symlink(outer.path(), &link.0).unwrap();
        link.make().unwrap_err();
    }
}
