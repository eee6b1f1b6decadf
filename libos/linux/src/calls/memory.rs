//! Memory of the program.

use exo_abi::Rights;
use exo_abi::address::PAGE_SIZE;
use linux_raw_sys::general::{
    MADV_DONTNEED, MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_NORESERVE, MAP_PRIVATE,
    MAP_SHARED, MAP_SHARED_VALIDATE, MAP_STACK, MAP_TYPE, O_ACCMODE, O_RDONLY, O_WRONLY, PROT_EXEC,
    PROT_READ, PROT_WRITE,
};

use super::Arguments;
use crate::errno::{Errno, Result};
use crate::files::device::Device;
use crate::files::node::Content;
use crate::process::Process;

/// What says that much of a mapping may not be used (mmap(2)).
const SPARSE: u32 = MAP_STACK | MAP_NORESERVE;

fn rights(protection: u64) -> Result<Rights> {
    let protection = protection as u32;
    if protection & !(PROT_READ | PROT_WRITE | PROT_EXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    let mut rights = Rights::NONE;
    for (bit, right) in [
        (PROT_READ, Rights::READ),
        (PROT_WRITE, Rights::READ_WRITE),
        (PROT_EXEC, Rights::READ_EXECUTE),
    ] {
        if protection & bit != 0 {
            rights = rights.union(right);
        }
    }
    Ok(rights)
}

pub fn map(
    process: &mut Process,
    [address, bytes, protection, flags, number, offset]: Arguments,
) -> Result {
    let wanted = rights(protection)?;
    let flags = flags as u32;
    let is_shared = match flags & MAP_TYPE {
        MAP_PRIVATE => false,
        MAP_SHARED | MAP_SHARED_VALIDATE => true,
        _ => return Err(Errno::EINVAL),
    };
    let place = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0).then_some(address);
    if flags & MAP_FIXED_NOREPLACE != 0 && process.memory.has_any(address, bytes) {
        return Err(Errno::EEXIST);
    }
    let node = if flags & MAP_ANONYMOUS != 0 {
        None
    } else {
        let file = process.descriptors.file(number)?.clone();
        if offset % PAGE_SIZE != 0 || offset.checked_add(bytes).is_none() {
            return Err(Errno::EINVAL);
        }
        let writes = is_shared && wanted.contains(Rights::WRITE);
        match file.flags.get() & O_ACCMODE {
            O_WRONLY => return Err(Errno::EACCES),
            O_RDONLY if writes => return Err(Errno::EACCES),
            _ => {}
        }
        match file.node.content {
            Content::Device(Device::Zero) => None,
            _ => Some(file.node.clone()),
        }
    };
    let memory = &mut process.memory;
    match (node, is_shared) {
        (None, false) => match place {
            Some(start) => memory.map_anonymous_at(start, bytes, wanted),
            None => memory.map_anonymous(bytes, wanted, flags & SPARSE == 0),
        },
        (None, true) => {
            // Memory that is shared with children is a file without a name.
            let tree = &process.tree;
            let node = tree.create(tree.empty_file(), 0o600);
            node.data()?.borrow_mut().resize(bytes, memory)?;
            memory.map_file(place, bytes, wanted, (&node, 0), true)
        }
        (Some(node), _) => memory.map_file(place, bytes, wanted, (&node, offset), is_shared),
    }
}

/// What is written to a shared mapping is in its file at once.
pub fn synchronize(process: &mut Process, [address, bytes, ..]: Arguments) -> Result {
    if address % PAGE_SIZE != 0 {
        return Err(Errno::EINVAL);
    }
    match bytes == 0 || process.memory.has_any(address, bytes) {
        true => Ok(0),
        false => Err(Errno::ENOMEM),
    }
}

pub fn unmap(process: &mut Process, [address, bytes, ..]: Arguments) -> Result {
    process.memory.unmap(address, bytes).map(|()| 0)
}

pub fn protect(process: &mut Process, [address, bytes, protection, ..]: Arguments) -> Result {
    let rights = rights(protection)?;
    process.memory.protect(address, bytes, rights).map(|()| 0)
}

pub fn set_break(process: &mut Process, [address, ..]: Arguments) -> Result {
    Ok(process.memory.set_break(address))
}

/// Advice is taken as such, but for that which changes what is read afterwards.
pub fn advise(process: &mut Process, [address, bytes, advice, ..]: Arguments) -> Result {
    if advice as u32 == MADV_DONTNEED {
        process.memory.discard(address, bytes)?;
    }
    Ok(0)
}
