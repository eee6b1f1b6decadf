//! `exo images`: what can be run.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::error::Error;
use crate::image::home::Home;
use crate::image::manifest::Manifest;

/// Prints one line for each manifest: name, description, and what is wrong with it, if anything.
pub fn list() -> Result<u8, Error> {
    let folder = Home::find().images()?;
    let names = names(&folder, "").map_err(|error| {
        Error::file(
            "folder",
            &folder,
            &error,
            "set EXO_HOME to the project's folder",
        )
    })?;
    let width = names.iter().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for name in &names {
        let line = match Manifest::read(&folder.join(format!("{name}.toml"))) {
            Ok(manifest) => manifest.description.replace('\n', " "),
            Err(error) => format!("(cannot be run: {error})"),
        };
        text.push_str(&format!("{name:width$}  {line}\n"));
    }
    super::print(&text);
    Ok(0)
}

/// The manifests in `folder`, then those in the folders in it, each by name: a path without `.toml`.
fn names(folder: &Path, prefix: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str() else {
            continue;
        };
        if entry.file_type()?.is_dir() {
            folders.insert(format!("{prefix}{name}/"), entry.path());
        } else if let Some(stem) = name.strip_suffix(".toml") {
            names.push(format!("{prefix}{stem}"));
        }
    }
    names.sort();
    for (prefix, folder) in folders {
        names.extend(self::names(&folder, &prefix)?);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_come_before_those_of_folders() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(folder.path().join("attacks/old")).expect("a new folder");
        for file in [
            "two.toml",
            "attacks/old/a.toml",
            "attacks/z.toml",
            "attacks/b.toml",
            "hello.toml",
            "notes.txt",
        ] {
            std::fs::write(folder.path().join(file), "").expect("a new file");
        }
        assert_eq!(
            names(folder.path(), "").expect("the folder can be read"),
            ["hello", "two", "attacks/b", "attacks/z", "attacks/old/a"]
        );
    }
}
