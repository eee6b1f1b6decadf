//! What `exo run` tells the personality: its own options, then the program's arguments.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// A file in this environment's memory.
#[derive(Clone, Copy, Debug)]
pub struct Attachment {
    /// First byte.
    pub address: u64,
    /// Size.
    pub bytes: u64,
    /// Its first page, counted from the first frame of this environment's image.
    pub page: u64,
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
    /// The program's file.
    pub attachment: Attachment,
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
            attachment: Attachment {
                address: 0,
                bytes: 0,
                page: 0,
            },
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
                ("--attachment", value) => options.attachment = attachment(value)?,
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
                _ => return Err("an option without a meaning; start it by `exo run ./PROGRAM`"),
            }
        }
        if options.attachment.bytes == 0 || options.arguments.is_empty() {
            return Err("no program is attached; start one by `exo run ./PROGRAM`");
        }
        Ok(options)
    }
}

/// `0xADDRESS,BYTES,PAGE`.
fn attachment(text: &str) -> Result<Attachment, &'static str> {
    const WRONG: &str = "--attachment does not say where the program is";
    let (address, rest) = text.split_once(',').ok_or(WRONG)?;
    let (bytes, page) = rest.split_once(',').ok_or(WRONG)?;
    let address = address.strip_prefix("0x").ok_or(WRONG)?;
    Ok(Attachment {
        address: u64::from_str_radix(address, 16).map_err(|_| WRONG)?,
        bytes: bytes.parse().map_err(|_| WRONG)?,
        page: page.parse().map_err(|_| WRONG)?,
    })
}
