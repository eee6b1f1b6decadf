//! `futex`, and what a thread leaves behind in locks that it held.

use linux_raw_sys::general::{
    FUTEX_BITSET_MATCH_ANY, FUTEX_CLOCK_REALTIME, FUTEX_CMP_REQUEUE, FUTEX_OWNER_DIED,
    FUTEX_PRIVATE_FLAG, FUTEX_REQUEUE, FUTEX_TID_MASK, FUTEX_WAIT, FUTEX_WAIT_BITSET,
    FUTEX_WAITERS, FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_WAKE_OP, ROBUST_LIST_LIMIT,
};

use super::{Arguments, program, time};
use crate::errno::{Errno, Result};
use crate::process::Process;
use crate::wait;

/// Bytes of `struct robust_list_head`.
const ROBUST_HEAD_BYTES: u64 = 24;

pub fn futex(
    process: &mut Process,
    [address, operation, value, timeout, other, last]: Arguments,
) -> wait::Result {
    let operation = operation as u32;
    let command = operation & !(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
    // The fourth argument of those that wait for nothing is a count.
    let count = |number: u64| u64::try_from(number as i32).map_err(|_| Errno::EINVAL);
    match command {
        FUTEX_WAIT | FUTEX_WAIT_BITSET => {
            let bits = match command {
                FUTEX_WAIT => FUTEX_BITSET_MATCH_ANY,
                _ => last as u32,
            };
            let timeout = Timeout {
                address: timeout,
                is_absolute: command == FUTEX_WAIT_BITSET,
                is_real: operation & FUTEX_CLOCK_REALTIME != 0,
            };
            wait(process, address, value as u32, bits, &timeout)
        }
        FUTEX_WAKE => Ok(wake(
            process,
            address,
            FUTEX_BITSET_MATCH_ANY,
            count(value)?,
        )?),
        FUTEX_WAKE_BITSET => Ok(wake(process, address, last as u32, count(value)?)?),
        FUTEX_REQUEUE => Ok(requeue(
            process,
            [address, other],
            [count(value)?, count(timeout)?],
        )?),
        FUTEX_CMP_REQUEUE => {
            let counts = [count(value)?, count(timeout)?];
            if program::load(process, address)? != last as u32 {
                return Err(Errno::EAGAIN.into());
            }
            let woken_and_moved = requeue(process, [address, other], counts)?;
            Ok(woken_and_moved)
        }
        FUTEX_WAKE_OP => {
            let counts = [count(value)?, count(timeout)?];
            Ok(wake_and_operate(
                process,
                [address, other],
                counts,
                last as u32,
            )?)
        }
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// How long a wait may last, as the program says.
struct Timeout {
    /// Of a `struct timespec`; 0: for ever.
    address: u64,
    is_absolute: bool,
    is_real: bool,
}

impl Timeout {
    /// The moment when it is over.
    fn deadline(&self, process: &mut Process) -> Result<Option<u64>> {
        if self.address == 0 {
            return Ok(None);
        }
        let time = time::duration(process, self.address)?;
        Ok(Some(match (self.is_absolute, self.is_real) {
            (false, _) => time::now().saturating_add(time),
            (true, false) => time,
            (true, true) => time.saturating_sub(process.tree.store.epoch()),
        }))
    }
}

fn check(address: u64) -> Result<()> {
    match address.is_multiple_of(4) {
        true => Ok(()),
        false => Err(Errno::EINVAL),
    }
}

fn wait(
    process: &mut Process,
    address: u64,
    expected: u32,
    bits: u32,
    timeout: &Timeout,
) -> wait::Result {
    if process.threads.current.was_woken() {
        return Ok(0);
    }
    if bits == 0 {
        return Err(Errno::EINVAL.into());
    }
    let deadline = match process.threads.current.waited {
        Some(waited) => waited.deadline,
        None => timeout.deadline(process)?,
    };
    if program::load(process, address)? != expected {
        return Err(Errno::EAGAIN.into());
    }
    if deadline.is_some_and(|deadline| time::now() >= deadline) {
        return Err(Errno::ETIMEDOUT.into());
    }
    Err(process.futexes.wait(address, bits, deadline).into())
}

fn wake(process: &mut Process, address: u64, bits: u32, count: u64) -> Result {
    check(address)?;
    if bits == 0 {
        return Err(Errno::EINVAL);
    }
    // Linux wakes one where none is asked for.
    Ok(process.futexes.wake(address, bits, count.max(1)))
}

/// Wakes some, and has others wait for another futex; how many of both.
fn requeue(process: &mut Process, [address, other]: [u64; 2], counts: [u64; 2]) -> Result {
    check(address)?;
    check(other)?;
    let [woken, moved] = counts;
    let woken = process.futexes.wake(address, FUTEX_BITSET_MATCH_ANY, woken);
    Ok(woken + process.futexes.requeue(address, other, moved))
}

/// Changes the word of the second futex as `code` says, wakes some of the first, and some of the second if the comparison holds.
fn wake_and_operate(
    process: &mut Process,
    [address, other]: [u64; 2],
    counts: [u64; 2],
    code: u32,
) -> Result {
    const SHIFTED: u32 = 8;
    check(address)?;
    check(other)?;
    // Operation, comparison, and the two operands of 12 bits, signed (man page futex(2)).
    let signed = |bits: u32| ((bits << 20) as i32) >> 20;
    let (operation, comparison) = (code >> 28, code >> 24 & 0xf);
    let (mut operand, compared) = (signed(code >> 12), signed(code));
    if operation & SHIFTED != 0 {
        operand = 1_i32.wrapping_shl(operand as u32);
    }
    let operand = operand as u32;
    if operation & !SHIFTED > 4 || comparison > 5 {
        return Err(Errno::ENOSYS);
    }
    let before = program::update(process, other, |old| match operation & !SHIFTED {
        0 => operand,
        1 => old.wrapping_add(operand),
        2 => old | operand,
        3 => old & !operand,
        _ => old ^ operand,
    })?;
    let before = before as i32;
    let holds = match comparison {
        0 => before == compared,
        1 => before != compared,
        2 => before < compared,
        3 => before <= compared,
        4 => before > compared,
        _ => before >= compared,
    };
    let any = FUTEX_BITSET_MATCH_ANY;
    let mut woken = process.futexes.wake(address, any, counts[0].max(1));
    if holds {
        woken += process.futexes.wake(other, any, counts[1].max(1));
    }
    Ok(woken)
}

pub fn set_robust_list(process: &mut Process, [head, bytes, ..]: Arguments) -> Result {
    if bytes != ROBUST_HEAD_BYTES {
        return Err(Errno::EINVAL);
    }
    process.threads.current.robust_list = head;
    Ok(0)
}

pub fn robust_list(process: &mut Process, [number, head, bytes, ..]: Arguments) -> Result {
    let number = match number as u32 {
        0 => process.threads.current.number,
        number => number,
    };
    let list = process
        .threads
        .get_mut(number)
        .ok_or(Errno::ESRCH)?
        .robust_list;
    program::write_words(process, head, &[list])?;
    program::write_words(process, bytes, &[ROBUST_HEAD_BYTES])?;
    Ok(0)
}

/// What the end of the current thread does to futexes: locks of its robust list are marked, and whoever waits for the thread's end is
/// woken. Addresses that lead nowhere end it early: the program gave them.
pub fn end_thread(process: &mut Process) {
    let thread = &mut process.threads.current;
    let (list, clear) = (
        core::mem::take(&mut thread.robust_list),
        core::mem::take(&mut thread.clear_at_end),
    );
    if list != 0 {
        let _ = walk_robust_list(process, list);
    }
    if clear != 0 && program::write(process, clear, &[0; 4]).is_ok() {
        process.futexes.wake(clear, FUTEX_BITSET_MATCH_ANY, 1);
    }
}

fn walk_robust_list(process: &mut Process, head: u64) -> Result<()> {
    let [first, distance, pending] = program::read_words(process, head)?;
    let mut entry = first;
    for _ in 0..ROBUST_LIST_LIMIT {
        if entry == head {
            break;
        }
        // Read before the lock is given up: its next owner may change it.
        let next = program::read_words::<1>(process, entry);
        if entry != pending {
            leave_lock(process, entry.wrapping_add(distance))?;
        }
        [entry] = next?;
    }
    if pending != 0 {
        leave_lock(process, pending.wrapping_add(distance))?;
    }
    Ok(())
}

/// Marks a lock that the current thread holds as one whose owner has died.
fn leave_lock(process: &mut Process, futex: u64) -> Result<()> {
    let owner = process.threads.current.number;
    let word = program::load(process, futex)?;
    if word & FUTEX_TID_MASK != owner {
        return Ok(());
    }
    let before = program::update(process, futex, |word| {
        word & FUTEX_WAITERS | FUTEX_OWNER_DIED
    })?;
    if before & FUTEX_WAITERS != 0 {
        process.futexes.wake(futex, FUTEX_BITSET_MATCH_ANY, 1);
    }
    Ok(())
}
