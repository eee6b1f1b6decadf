//! Where things are: the project, the binary `exo`, the images.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder that holds `images/`: `EXO_HOME`, else the project that this crate was built in.
pub fn home() -> PathBuf {
    match std::env::var_os("EXO_HOME") {
        Some(home) => PathBuf::from(home),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
    }
}

/// The binary `exo`: `EXO_BIN`, else what `scripts/build` makes, which runs first.
pub fn exo() -> PathBuf {
    static EXO: OnceLock<PathBuf> = OnceLock::new();
    EXO.get_or_init(|| {
        if let Some(binary) = std::env::var_os("EXO_BIN") {
            return PathBuf::from(binary);
        }
        let build = home().join("scripts/build");
        let status = Command::new(&build)
            .status()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", build.display()));
        assert!(status.success(), "{} failed: {status}", build.display());
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| home().join("target"), PathBuf::from);
        target.join("release/exo")
    })
    .clone()
}

/// A file of an image: its path below `images/`, without the `.toml`.
pub fn manifest(image: &str) -> PathBuf {
    home().join("images").join(format!("{image}.toml"))
}
