//! What travels over the control socket: one request as a line of JSON, then one answer as a line of JSON; then the server hangs up.

use serde::{Deserialize, Serialize};

use super::snapshot::Snapshot;

/// Version of these messages; another one is refused.
pub const VERSION: u32 = 1;
/// Most bytes of a request.
pub const REQUEST_MAX: u64 = 4096;

/// What every message starts with, whatever the version.
#[derive(Debug, Serialize, Deserialize)]
pub struct Head {
    /// [`VERSION`] of whoever wrote it.
    pub version: u32,
}

/// A message.
#[derive(Debug, Serialize, Deserialize)]
pub struct Message<T> {
    /// [`VERSION`].
    pub version: u32,
    /// What it says.
    #[serde(flatten)]
    pub body: T,
}

/// What the client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// The tables as they are now.
    Snapshot,
    /// Lets environments own so many frames together.
    Limit {
        /// Frames.
        frames: u64,
    },
    /// Asks an environment to give something back.
    Revoke {
        /// Its number.
        environment: u16,
        /// Name of a [`exo_abi::revocation::RevocationKind`].
        kind: String,
        /// How much.
        count: u64,
        /// Time that it has.
        deadline_us: u64,
    },
}

/// What the machine answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The tables.
    Snapshot(Box<Snapshot>),
    /// The kernel will be asked, and its revocation log will say what became of that.
    Asked {
        /// Number of the request.
        serial: u64,
    },
    /// It will not: the exit status for `exo`, and one line.
    Refused {
        /// As [`crate::cli::exit_status`] has it.
        status: u8,
        /// What, and how to mend it.
        reason: String,
    },
}

/// A message as a line.
pub fn line<T: Serialize>(body: T) -> String {
    let message = Message {
        version: VERSION,
        body,
    };
    // Names, numbers and lists of them: nothing that JSON lacks.
    let mut text = serde_json::to_string(&message).unwrap_or_default();
    text.push('\n');
    text
}

/// The message in a line, or why it is none.
pub fn parse<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, String> {
    let bad = |error: serde_json::Error| format!("no message of the control socket: {error}");
    let head: Head = serde_json::from_str(text).map_err(bad)?;
    if head.version != VERSION {
        return Err(format!(
            "the other side speaks version {} of the control protocol, this one {VERSION}; use the same exo",
            head.version
        ));
    }
    let message: Message<T> = serde_json::from_str(text).map_err(bad)?;
    Ok(message.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_lines_with_a_version() {
        let text = line(Request::Snapshot);
        assert_eq!(text, "{\"version\":1,\"request\":\"snapshot\"}\n");
        assert_eq!(parse::<Request>(&text), Ok(Request::Snapshot));
    }

    #[test]
    fn another_version_is_told_from_nonsense() {
        let other = parse::<Request>("{\"version\":2,\"request\":\"conquer\"}").unwrap_err();
        assert!(other.contains("version 2"), "{other}");
        for text in ["", "x", "{}", "{\"version\":1,\"request\":\"conquer\"}"] {
            let reason = parse::<Request>(text).unwrap_err();
            assert!(reason.contains("no message"), "{reason}");
        }
    }
}
