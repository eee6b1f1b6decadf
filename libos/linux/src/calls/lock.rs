//! Locks on files, as advice: they keep nobody from reading and writing.

use alloc::rc::Rc;

use linux_raw_sys::general::{
    F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_RDLCK, F_SETLK, F_SETLKW, F_UNLCK, F_WRLCK,
    LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, O_ACCMODE, O_RDONLY, O_WRONLY, SEEK_CUR, SEEK_END,
    SEEK_SET,
};

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::files::locks::{Lock, Owner};
use crate::files::open::OpenFile;
use crate::process::Process;
use crate::wait::{self, Wait};

/// Whether `fcntl` does this by [`control`].
pub fn is_control(command: u32) -> bool {
    matches!(
        command,
        F_GETLK | F_SETLK | F_SETLKW | F_OFD_GETLK | F_OFD_SETLK | F_OFD_SETLKW
    )
}

/// `struct flock`, as far as it counts.
struct Record {
    kind: u32,
    lock: Lock,
}

impl Record {
    fn read(
        process: &mut Process,
        file: &Rc<OpenFile>,
        address: u64,
        owner: Owner,
    ) -> Result<Self> {
        let [head, start, length] = program::read_words(process, address)?;
        let base = match head as u32 >> 16 {
            SEEK_SET => 0,
            SEEK_CUR => file.offset.get(),
            SEEK_END => file.node.size(),
            _ => return Err(Errno::EINVAL),
        };
        let place = base.checked_add_signed(start as i64).ok_or(Errno::EINVAL)?;
        let range = match length as i64 {
            0 => place..u64::MAX,
            length if length > 0 => place..place.saturating_add(length as u64),
            length => place.checked_add_signed(length).ok_or(Errno::EINVAL)?..place,
        };
        let kind = head as u32 & 0xffff;
        Ok(Self {
            kind,
            lock: Lock {
                range,
                is_exclusive: kind == F_WRLCK,
                owner,
                is_whole: false,
            },
        })
    }
}

pub fn control(process: &mut Process, [number, command, address, ..]: Arguments) -> wait::Result {
    let file = process.descriptors.file(number)?.clone();
    let command = command as u32;
    let owner = match command {
        F_GETLK | F_SETLK | F_SETLKW => Owner::Process(process.member.number),
        _ => Owner::File(Rc::downgrade(&file)),
    };
    let Record { kind, lock } = Record::read(process, &file, address, owner)?;
    let node = file.node.number;
    let conflict = process.family.locks.conflict(node, &lock);
    if matches!(command, F_GETLK | F_OFD_GETLK) {
        return tell(process, address, conflict);
    }
    let access = file.flags.get() & O_ACCMODE;
    match (kind, conflict) {
        (F_RDLCK, _) if access == O_WRONLY => Err(Errno::EBADF.into()),
        (F_WRLCK, _) if access == O_RDONLY => Err(Errno::EBADF.into()),
        (F_UNLCK, _) => {
            process.family.locks.clear(node, &lock);
            Ok(0)
        }
        (F_RDLCK | F_WRLCK, None) => {
            process.family.locks.set(node, lock);
            Ok(0)
        }
        (F_RDLCK | F_WRLCK, Some(_)) if matches!(command, F_SETLKW | F_OFD_SETLKW) => {
            Err(Wait::queue(&process.family.locks.released).into())
        }
        (F_RDLCK | F_WRLCK, Some(_)) => Err(Errno::EAGAIN.into()),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// Writes what keeps a lock from being had.
fn tell(process: &mut Process, address: u64, conflict: Option<Lock>) -> wait::Result {
    let Some(lock) = conflict else {
        program::write(process, address, &(F_UNLCK as u16).to_le_bytes())?;
        return Ok(0);
    };
    let kind = if lock.is_exclusive { F_WRLCK } else { F_RDLCK };
    let length = match lock.range.end {
        u64::MAX => 0,
        end => end - lock.range.start,
    };
    let owner = match lock.owner {
        Owner::Process(number) => number,
        Owner::File(_) => u32::MAX,
    };
    let words = [u64::from(kind), lock.range.start, length, u64::from(owner)];
    program::write_words(process, address, &words)?;
    Ok(0)
}

/// `flock`: a lock on all of a file, of the open file.
pub fn lock_whole(process: &mut Process, [number, operation, ..]: Arguments) -> wait::Result {
    let file = process.descriptors.file(number)?.clone();
    let operation = operation as u32;
    let lock = Lock {
        range: 0..u64::MAX,
        is_exclusive: operation & LOCK_EX != 0,
        owner: Owner::File(Rc::downgrade(&file)),
        is_whole: true,
    };
    let (locks, node) = (&process.family.locks, file.node.number);
    match operation & !LOCK_NB {
        LOCK_UN => locks.clear(node, &lock),
        LOCK_SH | LOCK_EX if locks.conflict(node, &lock).is_none() => locks.set(node, lock),
        LOCK_SH | LOCK_EX if operation & LOCK_NB != 0 => return Err(Errno::EAGAIN.into()),
        LOCK_SH | LOCK_EX => return Err(Wait::queue(&locks.released).into()),
        _ => return Err(Errno::EINVAL.into()),
    }
    Ok(0)
}
