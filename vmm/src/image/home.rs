//! Where images, kernel and programs are.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// Names the folder that holds `images/`, in place of the search.
pub const HOME_VARIABLE: &str = "EXO_HOME";
/// Names the folder that holds kernel and programs, in place of `target/guest` in the home folder.
pub const GUEST_VARIABLE: &str = "EXO_GUEST";

/// Finds files by the rules of the project.
#[derive(Debug)]
pub struct Home {
    folder: Option<PathBuf>,
    guest: Option<PathBuf>,
}

impl Home {
    /// From the environment, else from where this executable lies: the nearest folder above it that holds `images/`.
    pub fn find() -> Self {
        let variable = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let folder = variable(HOME_VARIABLE).or_else(|| {
            let executable = std::env::current_exe().ok()?;
            executable
                .ancestors()
                .skip(1)
                .find(|above| above.join("images").is_dir())
                .map(Path::to_owned)
        });
        Self {
            folder,
            guest: variable(GUEST_VARIABLE),
        }
    }

    fn folder(&self) -> Result<&Path, Error> {
        self.folder.as_deref().ok_or_else(|| {
            Error::MissingInput(format!(
                "no folder above this executable holds images/; set {HOME_VARIABLE} to the project's folder"
            ))
        })
    }

    /// The folder of the manifests.
    pub fn images(&self) -> Result<PathBuf, Error> {
        Ok(self.folder()?.join("images"))
    }

    /// The manifest of an image: a path, or a name in the folder of the manifests.
    pub fn manifest(&self, image: &str) -> Result<PathBuf, Error> {
        if image.contains('/') || image.ends_with(".toml") {
            let path = PathBuf::from(image);
            if path.exists() || !image.ends_with(".toml") && self.folder.is_none() {
                return Ok(path);
            }
            // `attack/forge` is a name with a folder in it.
            let named = self
                .images()
                .map(|images| images.join(format!("{image}.toml")));
            return Ok(named.ok().filter(|named| named.exists()).unwrap_or(path));
        }
        Ok(self.images()?.join(format!("{image}.toml")))
    }

    fn guest(&self) -> Result<PathBuf, Error> {
        match &self.guest {
            Some(guest) => Ok(guest.clone()),
            None => Ok(self.folder()?.join("target/guest")),
        }
    }

    /// The kernel.
    pub fn kernel(&self) -> Result<PathBuf, Error> {
        Ok(self.guest()?.join("exo-kernel"))
    }

    /// The folder of the programs.
    pub fn programs(&self) -> Result<PathBuf, Error> {
        Ok(self.guest()?.join("programs"))
    }
}
