//! Sockets of the AF_UNIX family, which are made in pairs.

use alloc::rc::Rc;

use linux_raw_sys::general::{O_CLOEXEC, O_NONBLOCK, O_RDWR};
use linux_raw_sys::net::{
    AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_PEEK, MSG_TRUNC, SHUT_RD, SO_ACCEPTCONN, SO_DOMAIN,
    SO_ERROR, SO_PEERCRED, SO_PROTOCOL, SO_RCVBUF, SO_SNDBUF, SO_TYPE, SOCK_STREAM, SOL_SOCKET,
};

use super::pipe::add_two;
use super::program::{self, Buffer};
use super::{Arguments, file};
use crate::errno::{Errno, Result};
use crate::files::node::Content;
use crate::files::open::OpenFile;
use crate::files::pipe::{CAPACITY, Use};
use crate::files::socket::Socket;
use crate::process::Process;
use crate::wait;

/// Socket types that keep messages apart (linux, include/linux/net.h).
const SOCK_DGRAM: u32 = 2;
const SOCK_SEQPACKET: u32 = 5;
/// Bits of a socket's type; the others are flags of the descriptor.
const TYPE_MASK: u32 = 0xf;
/// `SHUT_WR` and `SHUT_RDWR`.
const SHUT_WRITE: u32 = 1;
const SHUT_BOTH: u32 = 2;
/// Offset of `msg_flags` in `struct msghdr`.
const MESSAGE_FLAGS: u64 = 48;

pub fn make(_: &mut Process, [domain, ..]: Arguments) -> Result {
    // Without a name nobody can be reached, and there is no network.
    match domain as u32 {
        AF_UNIX => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

pub fn make_pair(
    process: &mut Process,
    [domain, kind, protocol, address, ..]: Arguments,
) -> Result {
    let (kind, flags) = (kind as u32 & TYPE_MASK, kind as u32 & !TYPE_MASK);
    if domain as u32 != AF_UNIX {
        return Err(Errno::EAFNOSUPPORT);
    }
    if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    if protocol as u32 > AF_UNIX {
        return Err(Errno::EPROTONOSUPPORT);
    }
    let messages = match kind {
        SOCK_STREAM => false,
        SOCK_DGRAM | SOCK_SEQPACKET => true,
        _ => return Err(Errno::ESOCKTNOSUPPORT),
    };
    let ends = Socket::pair(kind, messages).map(|socket| {
        let node = process.tree.create(Content::Socket(socket), 0o777);
        OpenFile::new(node, alloc::vec::Vec::new(), O_RDWR | flags & O_NONBLOCK)
    });
    add_two(process, address, ends, flags & O_CLOEXEC != 0)
}

/// The open file behind a descriptor, which is a socket.
struct Open(Rc<OpenFile>);

impl Open {
    fn find(process: &Process, number: u64) -> Result<Self> {
        let file = process.descriptors.file(number)?;
        match file.node.content {
            Content::Socket(_) => Ok(Self(file.clone())),
            _ => Err(Errno::ENOTSOCK),
        }
    }

    fn socket(&self) -> Result<&Socket> {
        match &self.0.node.content {
            Content::Socket(socket) => Ok(socket),
            _ => Err(Errno::ENOTSOCK),
        }
    }

    /// How it is used in a call with these flags.
    fn how(&self, flags: u32) -> Use {
        Use {
            now: self.0.how().now || flags & MSG_DONTWAIT != 0,
            peek: flags & MSG_PEEK != 0,
        }
    }
}

fn send(open: &Open, buffer: &mut Buffer, flags: u32) -> wait::Result {
    buffer.resume();
    open.socket()?.write(buffer, open.how(flags))?;
    Ok(buffer.moved())
}

/// Receives; how many bytes were taken, and how long the message was.
fn receive(open: &Open, buffer: &mut Buffer, flags: u32) -> wait::Result<(u64, u64)> {
    let socket = open.socket()?;
    let length = socket.read(buffer, open.how(flags))? as u64;
    let length = match socket.kind {
        SOCK_STREAM => buffer.moved(),
        _ => length,
    };
    Ok((buffer.moved(), length))
}

/// What the program is told of a message that was longer than its buffer.
fn told((taken, length): (u64, u64), flags: u32) -> u64 {
    if flags & MSG_TRUNC != 0 {
        length
    } else {
        taken
    }
}

pub fn send_to(
    process: &mut Process,
    [number, address, bytes, flags, name, _]: Arguments,
) -> wait::Result {
    let open = Open::find(process, number)?;
    if name != 0 && open.socket()?.kind == SOCK_STREAM {
        return Err(Errno::EISCONN.into());
    }
    let result = send(
        &open,
        &mut Buffer::new(process, address, bytes)?,
        flags as u32,
    );
    finish_sending(process, result, flags as u32)
}

pub fn receive_from(
    process: &mut Process,
    [number, address, bytes, flags, name, length]: Arguments,
) -> wait::Result {
    let open = Open::find(process, number)?;
    let flags = flags as u32;
    let received = receive(&open, &mut Buffer::new(process, address, bytes)?, flags)?;
    if name != 0 && length != 0 {
        program::write(process, length, &0u32.to_le_bytes())?;
    }
    Ok(told(received, flags))
}

/// A write to who does not read is told by a signal too, if that is not forbidden.
fn finish_sending(process: &mut Process, result: wait::Result, flags: u32) -> wait::Result {
    match flags & MSG_NOSIGNAL {
        0 => file::finish_writing(process, result),
        _ => result,
    }
}

/// Vector and number of entries of the `struct msghdr` at an address, and the bytes of its control messages.
fn message(process: &mut Process, address: u64) -> Result<[u64; 3]> {
    let words: [u64; 6] = program::read_words(process, address)?;
    let [_, _, vector, entries, _, control] = words;
    Ok([vector, entries, control])
}

pub fn send_message(
    process: &mut Process,
    [number, address, flags, ..]: Arguments,
) -> wait::Result {
    let open = Open::find(process, number)?;
    let [vector, entries, control] = message(process, address)?;
    if control != 0 {
        // Descriptors cannot be sent.
        return Err(Errno::EOPNOTSUPP.into());
    }
    let mut buffer = Buffer::vector(process, vector, entries)?;
    let result = send(&open, &mut buffer, flags as u32);
    finish_sending(process, result, flags as u32)
}

pub fn receive_message(
    process: &mut Process,
    [number, address, flags, ..]: Arguments,
) -> wait::Result {
    let open = Open::find(process, number)?;
    let flags = flags as u32;
    let [vector, entries, _] = message(process, address)?;
    let mut buffer = Buffer::vector(process, vector, entries)?;
    let (taken, length) = receive(&open, &mut buffer, flags)?;
    let cut = if taken < length { MSG_TRUNC } else { 0 };
    // No name, no control messages, and what became of this one.
    program::write(process, address.wrapping_add(8), &0u32.to_le_bytes())?;
    let words = [0, u64::from(cut)];
    program::write_words(process, address.wrapping_add(MESSAGE_FLAGS - 8), &words)?;
    Ok(told((taken, length), flags))
}

pub fn shut_down(process: &mut Process, [number, how, ..]: Arguments) -> Result {
    let open = Open::find(process, number)?;
    let (reads, writes) = match how as u32 {
        SHUT_RD => (true, false),
        SHUT_WRITE => (false, true),
        SHUT_BOTH => (true, true),
        _ => return Err(Errno::EINVAL),
    };
    open.socket()?.shut_down(reads, writes);
    Ok(0)
}

/// The name of a socket or of its peer: none.
pub fn name(process: &mut Process, [number, address, length, ..]: Arguments) -> Result {
    const FAMILY_BYTES: u32 = 2;
    Open::find(process, number)?;
    let bytes = program::read(process, length, 4)?;
    let room = bytes.try_into().map_or(0, u32::from_le_bytes);
    let family = (AF_UNIX as u16).to_le_bytes();
    let shown = family.get(..room.min(FAMILY_BYTES) as usize);
    program::write(process, address, shown.unwrap_or_default())?;
    program::write(process, length, &FAMILY_BYTES.to_le_bytes())?;
    Ok(0)
}

pub fn option(
    process: &mut Process,
    [number, level, name, address, length, _]: Arguments,
) -> Result {
    let open = Open::find(process, number)?;
    if level as u32 != SOL_SOCKET {
        return Err(Errno::EOPNOTSUPP);
    }
    let values = match name as u32 {
        SO_TYPE => [open.socket()?.kind, 0, 0],
        SO_DOMAIN => [AF_UNIX, 0, 0],
        SO_ERROR | SO_PROTOCOL | SO_ACCEPTCONN => [0; 3],
        SO_RCVBUF | SO_SNDBUF => [CAPACITY as u32, 0, 0],
        // Number, user and group of the peer: whoever made the pair.
        SO_PEERCRED => [process.member.number, 0, 0],
        _ => return Err(Errno::ENOPROTOOPT),
    };
    let bytes: alloc::vec::Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let whole = if name as u32 == SO_PEERCRED { 12 } else { 4 };
    let room = program::read(process, length, 4)?;
    let room = room.try_into().map_or(0, u32::from_le_bytes) as usize;
    let shown = bytes.get(..room.min(whole)).unwrap_or_default();
    program::write(process, address, shown)?;
    program::write(process, length, &(shown.len() as u32).to_le_bytes())?;
    Ok(0)
}

/// Options are taken as advice.
pub fn set_option(process: &mut Process, [number, level, ..]: Arguments) -> Result {
    Open::find(process, number)?;
    match level as u32 {
        SOL_SOCKET => Ok(0),
        _ => Err(Errno::ENOPROTOOPT),
    }
}
