//! The line discipline of a terminal: editing and echo of what is typed, and what becomes of what is printed (Linux man page termios(3)).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use linux_raw_sys::general::{
    ECHO, ECHOCTL, ECHOE, ECHOK, ECHOKE, ECHONL, ICANON, ICRNL, IEXTEN, IGNCR, INLCR, ISIG, IUTF8,
    IXON, NOFLSH, OCRNL, ONLCR, OPOST, SIGINT, SIGQUIT, SIGTSTP, VEOF, VEOL, VEOL2, VERASE, VINTR,
    VKILL, VLNEXT, VMIN, VQUIT, VREPRINT, VSTART, VSTOP, VSUSP, VTIME, VWERASE,
};

/// Bytes of `struct termios` as the kernel has it (linux, include/uapi/asm-generic/termbits.h).
pub const MODES_BYTES: usize = 36;
/// Where its control characters begin.
const CHARACTERS: usize = 17;
/// Bytes that a line may have, its end included.
const LINE_BYTES_MAX: usize = 4096;
/// Bytes that wait to be read at most.
const WAITING_BYTES_MAX: usize = 64 << 10;

/// Modes of a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Modes {
    input: u32,
    output: u32,
    control: u32,
    local: u32,
    discipline: u8,
    characters: [u8; MODES_BYTES - CHARACTERS],
}

impl Default for Modes {
    /// Those of a terminal that was just opened (linux, drivers/tty/tty_io.c).
    fn default() -> Self {
        /// 38,400 bits a second, 8 bits a character, receiver on.
        const CONTROL: u32 = 0xbf;
        Self {
            input: ICRNL | IXON,
            output: OPOST | ONLCR,
            control: CONTROL,
            local: ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
            discipline: 0,
            characters: [
                3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0,
            ],
        }
    }
}

impl Modes {
    /// As the program has them in memory.
    pub fn encode(&self) -> Vec<u8> {
        let words = [self.input, self.output, self.control, self.local];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.push(self.discipline);
        bytes.extend(self.characters);
        bytes
    }

    /// From the bytes in a program's memory.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |index: usize| {
            let word = bytes.get(4 * index..4 * index + 4)?;
            word.try_into().ok().map(u32::from_le_bytes)
        };
        Some(Self {
            input: word(0)?,
            output: word(1)?,
            control: word(2)?,
            local: word(3)?,
            discipline: bytes.get(16).copied()?,
            characters: bytes.get(CHARACTERS..MODES_BYTES)?.try_into().ok()?,
        })
    }

    fn has(&self, bits: u32) -> bool {
        self.local & bits == bits
    }

    /// Whether input comes by lines.
    pub fn is_canonical(&self) -> bool {
        self.has(ICANON)
    }

    fn character(&self, index: u32) -> u8 {
        self.characters.get(index as usize).copied().unwrap_or(0)
    }

    /// Whether a byte is the control character of this index. Those that are 0 are off.
    fn is(&self, byte: u8, index: u32) -> bool {
        byte != 0 && self.character(index) == byte
    }

    /// Without lines: bytes for which a read waits, and how long, in tenths of a second.
    pub fn least(&self) -> (usize, u64) {
        (self.character(VMIN).into(), self.character(VTIME).into())
    }

    /// Adds what is sent for bytes that are printed.
    pub fn print(&self, bytes: &[u8], sent: &mut Vec<u8>) {
        for &byte in bytes {
            match byte {
                b'\n' if self.output & (OPOST | ONLCR) == OPOST | ONLCR => {
                    sent.extend_from_slice(b"\r\n");
                }
                b'\r' if self.output & (OPOST | OCRNL) == OPOST | OCRNL => sent.push(b'\n'),
                _ => sent.push(byte),
            }
        }
    }
}

/// What is typed, on its way to who reads.
#[derive(Debug, Default)]
pub struct Line {
    /// The modes.
    pub modes: Modes,
    /// The line that is being edited.
    edited: Vec<u8>,
    /// What can be read: lines, or in other modes whatever came together.
    ready: VecDeque<Vec<u8>>,
    /// The next byte is taken as it is.
    is_literal: bool,
}

impl Line {
    /// Sets the modes. What was typed so far can be read when it is no line any more that matters.
    pub fn set_modes(&mut self, modes: Modes) {
        if self.modes.is_canonical() && !modes.is_canonical() {
            self.end_line();
            self.ready.retain(|line| !line.is_empty());
        }
        self.modes = modes;
    }

    /// Forgets what was not read.
    pub fn flush(&mut self) {
        self.edited.clear();
        self.ready.clear();
    }

    /// Bytes that can be read.
    pub fn available(&self) -> usize {
        match self.modes.is_canonical() {
            true => self.ready.front().map_or(0, Vec::len),
            false => self.ready.iter().map(Vec::len).sum(),
        }
    }

    /// Whether a read gives something: in lines an empty one too, which is an end of input.
    pub fn is_ready(&self) -> bool {
        match self.modes.is_canonical() {
            true => !self.ready.is_empty(),
            false => self.available() >= self.modes.least().0.max(1),
        }
    }

    /// Whether there is room for more to be typed.
    pub fn has_room(&self) -> bool {
        self.ready.iter().map(Vec::len).sum::<usize>() < WAITING_BYTES_MAX
    }

    /// Takes up to `bytes` bytes, of one line where there are lines.
    pub fn take(&mut self, bytes: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while taken.len() < bytes || self.modes.is_canonical() {
            let Some(mut line) = self.ready.pop_front() else {
                break;
            };
            let rest = line.split_off(line.len().min(bytes - taken.len()));
            taken.append(&mut line);
            if !rest.is_empty() {
                self.ready.push_front(rest);
            }
            if self.modes.is_canonical() {
                break;
            }
        }
        taken
    }

    /// A byte is typed. Adds to `echo` what is to be sent; gives the signal that it means.
    pub fn type_byte(&mut self, byte: u8, echo: &mut Vec<u8>) -> Option<u32> {
        let modes = self.modes;
        if core::mem::take(&mut self.is_literal) {
            self.insert(byte, echo);
            return None;
        }
        let byte = match byte {
            b'\r' if modes.input & IGNCR != 0 => return None,
            b'\r' if modes.input & ICRNL != 0 => b'\n',
            b'\n' if modes.input & INLCR != 0 => b'\r',
            _ => byte,
        };
        if modes.input & IXON != 0 && (modes.is(byte, VSTART) || modes.is(byte, VSTOP)) {
            // Output is never held: the terminal at the other end does that itself.
            return None;
        }
        if modes.has(ISIG) {
            let signals = [(VINTR, SIGINT), (VQUIT, SIGQUIT), (VSUSP, SIGTSTP)];
            let found = signals.iter().find(|&&(index, _)| modes.is(byte, index));
            if let Some(&(_, signal)) = found {
                if !modes.has(NOFLSH) {
                    self.flush();
                }
                self.echo(byte, echo);
                return Some(signal);
            }
        }
        if modes.is_canonical() {
            self.edit(byte, echo);
        } else {
            self.echo(byte, echo);
            match self.ready.back_mut() {
                Some(bytes) => bytes.push(byte),
                None => self.ready.push_back(alloc::vec![byte]),
            }
        }
        None
    }

    /// A byte is typed that belongs to a line.
    fn edit(&mut self, byte: u8, echo: &mut Vec<u8>) {
        let modes = self.modes;
        let extended = modes.has(IEXTEN);
        if modes.is(byte, VERASE) {
            self.erase(echo);
        } else if extended && modes.is(byte, VWERASE) {
            while self.edited.last() == Some(&b' ') {
                self.erase(echo);
            }
            while self.edited.last().is_some_and(|&last| last != b' ') {
                self.erase(echo);
            }
        } else if modes.is(byte, VKILL) {
            self.kill(echo);
        } else if extended && modes.is(byte, VLNEXT) {
            self.is_literal = true;
            if modes.has(ECHO | ECHOCTL) {
                echo.extend_from_slice(b"^\x08");
            }
        } else if extended && modes.is(byte, VREPRINT) {
            self.echo(byte, echo);
            modes.print(b"\n", echo);
            for byte in self.edited.clone() {
                self.echo(byte, echo);
            }
        } else if modes.is(byte, VEOF) {
            self.end_line();
        } else if byte == b'\n' || modes.is(byte, VEOL) || extended && modes.is(byte, VEOL2) {
            if modes.has(ECHO) || modes.has(ECHONL) && byte == b'\n' {
                modes.print(&[byte], echo);
            }
            self.edited.push(byte);
            self.end_line();
        } else {
            self.insert(byte, echo);
        }
    }

    fn insert(&mut self, byte: u8, echo: &mut Vec<u8>) {
        if self.edited.len() + 1 >= LINE_BYTES_MAX {
            // There has to be room for the end of the line.
            echo.push(7);
            return;
        }
        self.echo(byte, echo);
        self.edited.push(byte);
    }

    fn end_line(&mut self) {
        let line = core::mem::take(&mut self.edited);
        self.ready.push_back(line);
    }

    fn is_continuation(&self, byte: u8) -> bool {
        self.modes.input & IUTF8 != 0 && byte & 0xc0 == 0x80
    }

    /// Takes the last character of the line back.
    fn erase(&mut self, echo: &mut Vec<u8>) {
        let Some(mut last) = self.edited.pop() else {
            return;
        };
        while self.is_continuation(last) {
            let Some(before) = self.edited.pop() else {
                break;
            };
            last = before;
        }
        if !self.modes.has(ECHO) {
            return;
        }
        if !self.modes.has(ECHOE) {
            self.echo(self.modes.character(VERASE), echo);
            return;
        }
        let width = if self.shows_as_two(last) { 2 } else { 1 };
        for _ in 0..width {
            echo.extend_from_slice(b"\x08 \x08");
        }
    }

    /// Takes the whole line back.
    fn kill(&mut self, echo: &mut Vec<u8>) {
        if self.modes.has(ECHOE | ECHOK | ECHOKE) {
            while !self.edited.is_empty() {
                self.erase(echo);
            }
            return;
        }
        self.edited.clear();
        self.echo(self.modes.character(VKILL), echo);
        if self.modes.has(ECHO | ECHOK) {
            self.modes.print(b"\n", echo);
        }
    }

    /// Whether a byte is shown as `^` and a letter.
    fn shows_as_two(&self, byte: u8) -> bool {
        self.modes.has(ECHOCTL) && byte != b'\t' && byte.is_ascii_control()
    }

    fn echo(&self, byte: u8, echo: &mut Vec<u8>) {
        if !self.modes.has(ECHO) {
            return;
        }
        if byte != b'\n' && self.shows_as_two(byte) {
            echo.extend([b'^', byte ^ 0x40]);
        } else {
            self.modes.print(&[byte], echo);
        }
    }
}
