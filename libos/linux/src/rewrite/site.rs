//! Finds `syscall` instructions in code, and what next to each can make room for a jump.

use alloc::vec::Vec;

use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction};

use super::JUMP_BYTES;

/// The bytes of a `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// How far before a site decoding begins: by then it has found the borders of instructions, wherever it began.
const LEAD: usize = 96;
/// From how many neighbouring places it begins.
const STARTS: usize = 16;
/// How many of these must find the same borders.
const AGREEING: usize = STARTS * 3 / 4;
/// How far before a site they must be the same: where it is not certain that there is one, and where one has trapped.
const NEAR: usize = LEAD / 2;
const NEAR_TRAPPED: usize = 16;
/// How far behind a `syscall` room is looked for.
const TAIL: usize = 32;

/// A `syscall` whose place, or that of instructions next to it, a jump can take.
#[derive(Debug, PartialEq, Eq)]
pub struct Site {
    /// Where the jump goes.
    pub start: u64,
    /// Instructions before the `syscall` that make room.
    pub before: Vec<u8>,
    /// Instructions behind it that make room; if there are any, the `syscall` itself is overwritten too.
    pub behind: Vec<u8>,
    /// Address of the `syscall`.
    pub address: u64,
}

impl Site {
    /// Where the code goes on that is not overwritten.
    pub fn resume(&self) -> u64 {
        self.address + (SYSCALL.len() + self.behind.len()) as u64
    }

    /// Bytes that are overwritten.
    pub fn bytes(&self) -> usize {
        match self.behind.len() {
            0 => self.before.len(),
            behind => self.before.len() + SYSCALL.len() + behind,
        }
    }
}

/// Why a `syscall` stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Next to it is no straight run of instructions that is long enough.
    NoRoom,
    /// Something may branch into the instructions that would make room.
    BranchTarget,
}

/// What is overwritten, as positions in the text.
struct Window {
    first: usize,
    position: usize,
    end: usize,
    /// Where instructions begin in it, but for the first: a branch may lead there, and must not.
    borders: Vec<usize>,
}

/// All `syscall` instructions of `text`, which lies at `start`: address, and the site or why there is none.
pub fn find_all(text: &[u8], start: u64) -> Vec<(u64, Result<Site, Left>)> {
    let mut found = Vec::new();
    let mut windows = Vec::new();
    for position in positions(text) {
        // Else these are bytes of data, or of another instruction.
        if let Some(borders) = agreed_borders(text, position, start, NEAR) {
            match window(text, &borders, position) {
                Some(window) => windows.push(window),
                None => found.push((start + position as u64, Err(Left::NoRoom))),
            }
        }
    }
    let targeted = branch_targets(text, &windows);
    for (window, targeted) in windows.iter().zip(targeted) {
        let site = site(text, start, window, targeted);
        found.push((start + window.position as u64, site));
    }
    found
}

/// The `syscall` at `address` in `text`, which lies at `start`: that it is one is certain, it has trapped. Instructions before it make
/// room, or it stays: a call that is on its way returns behind it.
pub fn find_trapped(text: &[u8], start: u64, address: u64) -> Result<Site, Left> {
    let position = (address - start) as usize;
    let window = agreed_borders(text, position, start, NEAR_TRAPPED)
        .and_then(|borders| window(text, &borders, position))
        .filter(|window| window.end == position)
        .ok_or(Left::NoRoom)?;
    let targeted = branch_targets(text, core::slice::from_ref(&window));
    site(text, start, &window, targeted.contains(&true))
}

/// What a window is overwritten for, unless something may branch into it.
fn site(text: &[u8], start: u64, window: &Window, targeted: bool) -> Result<Site, Left> {
    if targeted {
        return Err(Left::BranchTarget);
    }
    let behind = window.position + SYSCALL.len();
    let bytes = |from, to| text.get(from..to).unwrap_or_default().to_vec();
    Ok(Site {
        start: start + window.first as u64,
        before: bytes(window.first, window.position),
        behind: bytes(behind, window.end.max(behind)),
        address: start + window.position as u64,
    })
}

/// Where the two bytes are.
fn positions(text: &[u8]) -> impl Iterator<Item = usize> {
    text.windows(SYSCALL.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == SYSCALL)
        .map(|(position, _)| position)
}

/// The instructions from `from` on, each with its position, up to `position`; `None` where that is not the border of one.
fn decode(
    text: &[u8],
    from: usize,
    position: usize,
    start: u64,
) -> Option<Vec<(usize, Instruction)>> {
    let bytes = text.get(from..position + SYSCALL.len())?;
    let mut decoder = Decoder::with_ip(64, bytes, start + from as u64, DecoderOptions::NONE);
    let mut all = Vec::new();
    while from + decoder.position() < position {
        let border = from + decoder.position();
        all.push((border, decoder.decode()));
    }
    (from + decoder.position() == position).then_some(all)
}

/// The last instructions before `position`, within `distance`, if decoding from nearly everywhere before leads there in the same way.
fn agreed_borders(
    text: &[u8],
    position: usize,
    start: u64,
    distance: usize,
) -> Option<Vec<(usize, Instruction)>> {
    let lead = position.saturating_sub(LEAD);
    let decoded: Vec<_> = (lead..lead + STARTS)
        .filter(|&from| from <= position)
        .map(|from| decode(text, from, position, start))
        .collect();
    // At the very start of a text there are fewer places to begin.
    let needed = AGREEING.min(decoded.len());
    let candidates: Vec<_> = decoded.into_iter().flatten().collect();
    let near = |all: &[(usize, Instruction)]| {
        let room = position.saturating_sub(distance);
        let first = all.partition_point(|&(border, _)| border < room);
        all.get(first..).unwrap_or_default().to_vec()
    };
    candidates
        .iter()
        .map(|all| near(all))
        .find(|wanted| candidates.iter().filter(|all| near(all) == *wanted).count() >= needed)
}

/// Whether an instruction does the same elsewhere, and leads to the next.
fn is_plain(instruction: &Instruction) -> bool {
    instruction.code() != Code::INVALID
        && instruction.flow_control() == FlowControl::Next
        && instruction.code() != Code::Syscall
}

/// What a jump may overwrite: instructions before the `syscall` if they suffice, else it and some behind it too.
fn window(text: &[u8], borders: &[(usize, Instruction)], position: usize) -> Option<Window> {
    let mut inside = Vec::new();
    for (border, instruction) in borders.iter().rev() {
        if !is_plain(instruction) {
            break;
        }
        if position - border >= JUMP_BYTES {
            return Some(Window {
                first: *border,
                position,
                end: position,
                borders: inside,
            });
        }
        inside.push(*border);
    }
    let behind = position + SYSCALL.len();
    let tail = text.get(behind..text.len().min(behind + TAIL))?;
    let mut inside = Vec::new();
    let mut end = behind;
    for instruction in &mut Decoder::new(64, tail, DecoderOptions::NONE) {
        if !is_plain(&instruction) {
            return None;
        }
        inside.push(end);
        end += instruction.len();
        if end - position >= JUMP_BYTES {
            return Some(Window {
                first: position,
                position,
                end,
                borders: inside,
            });
        }
    }
    None
}

/// For each window, whether any bytes of the text, taken as a branch, lead to an instruction inside it. That they may be no branch
/// costs a site, and nothing else.
fn branch_targets(text: &[u8], windows: &[Window]) -> Vec<bool> {
    /// How far a short branch leads.
    const SHORT: usize = 130;
    let leads_into = |window: &Window, target: i64| {
        usize::try_from(target).is_ok_and(|target| window.borders.contains(&target))
    };
    let mut targeted: Vec<bool> = windows
        .iter()
        .map(|window| {
            let first = window.first.saturating_sub(SHORT);
            let near = text.get(first..text.len().min(window.end + SHORT));
            !window.borders.is_empty()
                && near.unwrap_or_default().windows(2).enumerate().any(|(index, bytes)| {
                    matches!(bytes, &[0x70..=0x7f | 0xe0..=0xe3 | 0xeb, distance]
                        if leads_into(window, (first + index + 2) as i64 + i64::from(distance as i8)))
                })
        })
        .collect();
    for (position, bytes) in text.windows(6).enumerate() {
        let &[a, b, c, d, e, f] = bytes else { continue };
        let target = match (a, b) {
            (0xe8 | 0xe9, _) => position as i64 + 5 + i64::from(i32::from_le_bytes([b, c, d, e])),
            (0x0f, 0x80..=0x8f) => {
                position as i64 + 6 + i64::from(i32::from_le_bytes([c, d, e, f]))
            }
            _ => continue,
        };
        let index = windows.partition_point(|window| (window.end as i64) <= target);
        if windows
            .get(index)
            .is_some_and(|window| leads_into(window, target))
            && let Some(flag) = targeted.get_mut(index)
        {
            *flag = true;
        }
    }
    targeted
}
