//! What can go wrong on the host side, sorted by what the user can do about it; one line each.

use std::io;
use std::path::Path;

/// Why the VMM cannot do what it was asked. The text says what is wrong, where, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for something that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A manifest, program, kernel or disk is not what it should be.
    #[error("{0}")]
    BadInput(String),
    /// A file that is needed is not there.
    #[error("{0}")]
    MissingInput(String),
    /// The host has no KVM that can run the guest.
    #[error("{0}")]
    NoKvm(String),
    /// The operating system refused something that should work.
    #[error("{0}")]
    System(String),
    /// The user may not do this.
    #[error("{0}")]
    NotPermitted(String),
    /// A running machine refused what it was asked over its control socket.
    #[error("{reason}")]
    Told {
        /// Exit status that it named.
        status: u8,
        /// Its words.
        reason: String,
    },
}

impl Error {
    /// The error of an operation on a file: `what` the file is for, and `advice` for one that is missing.
    pub fn file(what: &str, path: &Path, error: &io::Error, advice: &str) -> Self {
        let path = path.display();
        match error.kind() {
            io::ErrorKind::NotFound => {
                Self::MissingInput(format!("{what} {path} does not exist; {advice}"))
            }
            io::ErrorKind::PermissionDenied => Self::NotPermitted(format!(
                "{what} {path} may not be opened by this user; change its permissions (chmod) or run as its owner"
            )),
            io::ErrorKind::IsADirectory => Self::BadInput(format!(
                "{what} {path} is a directory; name the file inside it"
            )),
            _ => Self::System(format!("{what} {path} cannot be read: {error}")),
        }
    }

    /// The error of a KVM operation or another one without a file.
    pub fn system(what: &str, error: impl Into<io::Error>) -> Self {
        Self::System(format!("{what} failed: {}", error.into()))
    }
}
