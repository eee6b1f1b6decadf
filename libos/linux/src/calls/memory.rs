//! Memory of the program.

use exo_abi::Rights;
use exo_abi::address::PAGE_SIZE;
use linux_raw_sys::general::{
    MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_GROWSDOWN, MAP_LOCKED, MAP_NORESERVE,
    MAP_POPULATE, MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, MAP_STACK, MAP_TYPE,
    MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_EXEC, MFD_NOEXEC_SEAL, MREMAP_DONTUNMAP, MREMAP_FIXED,
    MREMAP_MAYMOVE, O_ACCMODE, O_RDONLY, O_RDWR, O_WRONLY, PROT_EXEC, PROT_READ, PROT_WRITE,
};

use super::{Arguments, add_file, program};
use crate::errno::{Errno, Result};
use crate::files::device::Device;
use crate::files::node::Content;
use crate::memory::moving::Change;
use crate::process::Process;

/// What says that much of a mapping may not be used (mmap(2)).
const SPARSE: u32 = MAP_STACK | MAP_NORESERVE | MAP_GROWSDOWN;
/// Bytes of the name of a file without one, with its zero: `MFD_NAME_MAX_LEN` (linux, mm/memfd.c).
const NAME_MAX: usize = 250;

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
    let hint = address / PAGE_SIZE * PAGE_SIZE;
    let place = match flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0 {
        true => Some(address),
        false => process.memory.is_free(hint, bytes).then_some(hint),
    };
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
    if let Some(start) = place {
        process.note_change(start, bytes);
    }
    let memory = &mut process.memory;
    let start = match (node, is_shared) {
        (None, false) if flags & MAP_GROWSDOWN != 0 => memory.map_growing(place, bytes, wanted),
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
    }?;
    if flags & (MAP_POPULATE | MAP_LOCKED) != 0 {
        // As under Linux, nobody is told what cannot be had.
        memory.populate(start, start + bytes, Rights::NONE);
    }
    Ok(start)
}

pub fn unmap(process: &mut Process, [address, bytes, ..]: Arguments) -> Result {
    process.note_change(address, bytes);
    process.memory.unmap(address, bytes).map(|()| 0)
}

pub fn protect(process: &mut Process, [address, bytes, protection, ..]: Arguments) -> Result {
    let rights = rights(protection)?;
    process.note_rights(address, bytes, rights);
    process.memory.protect(address, bytes, rights).map(|()| 0)
}

pub fn set_break(process: &mut Process, [address, ..]: Arguments) -> Result {
    Ok(process.memory.set_break(address))
}

pub fn remap(
    process: &mut Process,
    [address, bytes, new_bytes, flags, new_address, _]: Arguments,
) -> Result {
    let flags = flags as u32;
    let has = |flag| flags & flag != 0;
    let is_wrong = flags & !(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) != 0
        || has(MREMAP_FIXED | MREMAP_DONTUNMAP) && !has(MREMAP_MAYMOVE)
        || has(MREMAP_DONTUNMAP) && bytes != new_bytes
        || has(MREMAP_FIXED | MREMAP_DONTUNMAP) && !new_address.is_multiple_of(PAGE_SIZE)
        || !address.is_multiple_of(PAGE_SIZE);
    if is_wrong || bytes == 0 || new_bytes == 0 {
        return Err(Errno::EINVAL);
    }
    process.note_change(address, bytes);
    if has(MREMAP_FIXED) {
        process.note_change(new_address, new_bytes);
    }
    let change = Change {
        place: has(MREMAP_FIXED).then_some(new_address),
        may_move: has(MREMAP_MAYMOVE),
        leaves_old: has(MREMAP_DONTUNMAP),
    };
    process.note_rights(address, bytes, Rights::READ_WRITE);
    if let Some(place) = change.place {
        process.note_change(place, new_bytes);
    }
    process.memory.remap(address, bytes, new_bytes, change)
}

/// A file without a name.
pub fn make_file(process: &mut Process, [name, flags, ..]: Arguments) -> Result {
    let flags = flags as u32;
    if flags & !(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC) != 0 {
        return Err(Errno::EINVAL);
    }
    program::read_text(process, name, NAME_MAX, Errno::EINVAL)?;
    let content = process.tree.empty_file();
    add_file(process, content, O_RDWR, flags & MFD_CLOEXEC)
}
