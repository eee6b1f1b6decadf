//! What `exo run` tells the personality: its own options, then the program's arguments.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use exo_rt::window;

use crate::files::credentials::Credentials;
use crate::memory::attached;

/// A file in the attached blocks, or in other frames of the family.
#[derive(Clone, Copy, Debug)]
pub struct Attachment {
    /// Physical address of the first byte.
    pub physical: u64,
    /// Size.
    pub bytes: u64,
}

impl Attachment {
    /// Where this process sees the first byte.
    pub fn view(self) -> u64 {
        attached::view(self.physical)
    }
}

/// A root file system.
#[derive(Clone, Copy, Debug)]
pub enum Root {
    /// An index of files.
    Index(Attachment),
    /// An ext4 image.
    Image(Attachment),
}

/// How system calls reach the personality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Instructions are rewritten to jumps.
    Call,
    /// Instructions trap.
    Trap,
}

/// All options.
#[derive(Debug)]
pub struct Options {
    /// The program's file, where it is not in the root file system.
    pub program: Option<Attachment>,
    /// Physical address of the attached blocks.
    pub files: u64,
    /// The root file system, if one was given.
    pub root: Option<Root>,
    /// The time of the start, in nanoseconds since 1970.
    pub now: u64,
    /// Working directory.
    pub directory: String,
    /// User and group.
    pub credentials: Credentials,
    /// How calls come.
    pub mode: Mode,
    /// Standard input and output are a terminal.
    pub terminal: bool,
    /// Standard error leads where standard output does.
    pub one_output: bool,
    /// Print each call.
    pub strace: bool,
    /// Print counts at the end.
    pub statistics: bool,
    /// Variables of the program's environment.
    pub variables: Vec<String>,
    /// The program's name and arguments.
    pub arguments: Vec<String>,
}

impl Options {
    /// Reads the arguments of this environment.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, &'static str> {
        let mut options = Self {
            program: None,
            files: 0,
            root: None,
            now: 0,
            directory: "/".to_owned(),
            credentials: Credentials::default(),
            mode: Mode::Call,
            terminal: false,
            one_output: false,
            strace: false,
            statistics: false,
            variables: Vec::new(),
            arguments: Vec::new(),
        };
        while let Some(word) = words.next() {
            let (name, value) = word.split_once('=').unwrap_or((&word, ""));
            match (name, value) {
                ("--program", value) => options.program = Some(attachment(value)?),
                ("--files", value) => options.files = address(value)?,
                ("--index", value) => options.root = Some(Root::Index(attachment(value)?)),
                ("--image", value) => options.root = Some(Root::Image(attachment(value)?)),
                ("--now", value) => options.now = value.parse().map_err(|_| MEANINGLESS)?,
                ("--workdir", value) => options.directory = value.to_owned(),
                ("--user", value) => options.credentials = credentials(value)?,
                ("--mode", "call") => options.mode = Mode::Call,
                ("--mode", "trap") => options.mode = Mode::Trap,
                ("--terminal", "") => options.terminal = true,
                ("--one-output", "") => options.one_output = true,
                ("--strace", "") => options.strace = true,
                ("--stats", "") => options.statistics = true,
                ("--env", variable) => options.variables.push(variable.to_owned()),
                ("--", "") => {
                    options.arguments = words.collect();
                    break;
                }
                _ => return Err(MEANINGLESS),
            }
        }
        let is_given = options.program.is_some() || options.root.is_some();
        if !is_given || options.arguments.is_empty() {
            return Err("no program is attached; start one by `exo run ./PROGRAM`");
        }
        Ok(options)
    }
}

const MEANINGLESS: &str = "an option without a meaning; start it by `exo run ./PROGRAM`";
const WRONG: &str = "an option does not say where its file is";

/// `0xADDRESS`, in the frame window; the physical address.
fn address(text: &str) -> Result<u64, &'static str> {
    let digits = text.strip_prefix("0x").ok_or(WRONG)?;
    let address = u64::from_str_radix(digits, 16).map_err(|_| WRONG)?;
    window::physical(address).ok_or(WRONG)
}

/// `0xADDRESS,BYTES`.
fn attachment(text: &str) -> Result<Attachment, &'static str> {
    let (start, bytes) = text.split_once(',').ok_or(WRONG)?;
    Ok(Attachment {
        physical: address(start)?,
        bytes: bytes.parse().map_err(|_| WRONG)?,
    })
}

/// `USER,GROUP`.
fn credentials(text: &str) -> Result<Credentials, &'static str> {
    let (user, group) = text.split_once(',').ok_or(MEANINGLESS)?;
    Ok(Credentials {
        user: user.parse().map_err(|_| MEANINGLESS)?,
        group: group.parse().map_err(|_| MEANINGLESS)?,
    })
}
