//! Linear addresses of a stopped vCPU, as its page tables show them.
//!
//! `KVM_TRANSLATE` would look with the rights of ring 0, and so, where SMAP is on, find nothing of ring 3.

use exo_abi::address::PAGE_SIZE;
use exo_abi::page_entry::{ADDRESS, LARGE, PRESENT, PageEntry};
use kvm_ioctls::VcpuFd;
use vm_memory::{Bytes, GuestAddress};

use crate::memory::GuestMemory;

/// CR0.PG.
const PAGING: u64 = 1 << 31;
/// Bits of a linear address that each level of page tables looks at.
const LEVEL_BITS: u32 = 9;
/// Where those of the levels begin, from the root down (Intel SDM volume 3, section 5.5).
const LEVELS: [u32; 4] = [39, 30, 21, 12];

/// Physical address of a linear one.
pub fn translate(vcpu: &VcpuFd, memory: &GuestMemory, address: u64) -> Option<GuestAddress> {
    let special = vcpu.get_sregs().ok()?;
    match special.cr0 & PAGING {
        0 => Some(GuestAddress(address)),
        _ => walk(memory, special.cr3 & ADDRESS, address),
    }
}

/// Physical address of a linear one by the page tables below `root`, whatever ring they are for.
fn walk(memory: &GuestMemory, root: u64, address: u64) -> Option<GuestAddress> {
    let unused = u64::BITS - LEVELS[0] - LEVEL_BITS;
    let is_canonical = (address << unused).cast_signed() >> unused == address.cast_signed();
    let mut table = is_canonical.then_some(root)?;
    for shift in LEVELS {
        let index = address >> shift & ((1 << LEVEL_BITS) - 1);
        let place = GuestAddress(table + index * size_of::<PageEntry>() as u64);
        let entry = PageEntry(memory.read_obj(place).ok()?);
        if !entry.has(PRESENT) {
            return None;
        }
        let inside = (1 << shift) - 1;
        table = entry.0 & ADDRESS;
        if entry.has(LARGE) && shift > PAGE_SIZE.trailing_zeros() {
            return Some(GuestAddress(table & !inside | address & inside));
        }
    }
    Some(GuestAddress(table | (address % PAGE_SIZE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: u64 = 0x1000;

    /// Memory with these words: where, and what.
    fn tables(entries: &[(u64, u64)]) -> GuestMemory {
        let memory = GuestMemory::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap();
        for &(place, entry) in entries {
            memory.write_obj(entry, GuestAddress(place)).unwrap();
        }
        memory
    }

    #[test]
    fn pages_of_both_sizes_are_found_whoever_they_are_for() {
        // The last entries of root and directory pointers: the upper half. Bit 7 of an entry for 4 KiB is PAT.
        let memory = tables(&[
            (ROOT + 511 * 8, 0x2000 | PRESENT),
            (0x2000 + 511 * 8, 0x3000 | PRESENT),
            (0x3000 + 3 * 8, 0x4000 | PRESENT),
            (0x3000 + 4 * 8, 0x1234_5600_0000 | LARGE | PRESENT),
            (0x4000 + 5 * 8, 0x8000_0000_0000_7000 | LARGE | PRESENT),
        ]);
        let base = 0xffff_ffff_c000_0000;
        let at = |offset: u64| walk(&memory, ROOT, base + offset);
        assert_eq!(at(0x60_5abc), Some(GuestAddress(0x7abc)));
        assert_eq!(at(0x81_2345), Some(GuestAddress(0x1234_5601_2345)));
        assert_eq!(at(0x60_4abc), None);
        assert_eq!(at(0), None);
    }

    #[test]
    fn what_is_no_address_and_tables_that_are_no_memory_lead_nowhere() {
        let memory = tables(&[(ROOT, 0x7fff_0000_0000 | PRESENT)]);
        assert_eq!(walk(&memory, ROOT, 0), None);
        assert_eq!(walk(&memory, ROOT, 1 << 47), None);
        assert_eq!(walk(&memory, 0x000f_ffff_ffff_f000, 8), None);
    }
}
