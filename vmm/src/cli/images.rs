//! `exo images`: what can be run.

use std::path::Path;

use crate::error::Error;
use crate::image::home::Home;
use crate::image::manifest::Manifest;

/// Prints one line for each manifest: name, description, and what is wrong with it, if anything.
pub fn list() -> Result<u8, Error> {
    let folder = Home::find().images()?;
    let mut names = Vec::new();
    collect(&folder, "", &mut names).map_err(|error| {
        Error::file(
            "folder",
            &folder,
            &error,
            "set EXO_HOME to the project's folder",
        )
    })?;
    names.sort();
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

/// Adds the names of the manifests in `folder` and the folders in it: a path without `.toml`.
fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str() else {
            continue;
        };
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), names)?;
        } else if let Some(stem) = name.strip_suffix(".toml") {
            names.push(format!("{prefix}{stem}"));
        }
    }
    Ok(())
}
