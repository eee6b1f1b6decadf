//! What is told of a program's memory.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use exo_abi::Rights;
use exo_abi::address::PAGE_SIZE;

use super::Memory;
use super::region::Kind;

impl Memory {
    /// Whether anything is mapped in a range.
    pub fn has_any(&self, start: u64, bytes: u64) -> bool {
        let end = start.saturating_add(bytes);
        let before = self.regions.range(..end).next_back();
        before.is_some_and(|(_, region)| region.end > start)
    }

    /// Whether a range can be a program's and nothing is there.
    pub fn is_free(&self, start: u64, bytes: u64) -> bool {
        start != 0
            && self
                .check_range(start, bytes)
                .is_ok_and(|end| !self.has_any(start, end - start))
    }

    /// Whether a page has memory.
    pub fn has_page(&self, page: u64) -> bool {
        self.region(page).is_some_and(|(_, region)| {
            region.kind == Kind::Arena || region.pages.contains_key(&page)
        })
    }

    /// Whether an address is in the mapping of a file, but behind the file's last page, and what was tried there is allowed.
    pub fn is_beyond_file(&self, address: u64, needed: Rights) -> bool {
        let Some((_, region)) = self.region(address) else {
            return false;
        };
        let Some(shown) = &region.file else {
            return false;
        };
        let size = shown.node.data().map_or(0, |data| {
            data.try_borrow().map_or(u64::MAX, |data| data.size())
        });
        let end = size.checked_next_multiple_of(PAGE_SIZE);
        region.rights.contains(needed)
            && end.is_some_and(|end| address.wrapping_sub(shown.origin) >= end)
    }

    /// Pages that the program's regions have.
    pub fn pages(&self) -> u64 {
        let sizes = self.regions.iter();
        sizes
            .map(|(start, region)| (region.end - start) / PAGE_SIZE)
            .sum()
    }

    /// The regions as `/proc/self/maps` tells of them (proc(5)).
    pub fn describe(&self) -> String {
        let mut text = String::new();
        let mut runs: Vec<(u64, u64, Rights)> = Vec::new();
        for (&start, region) in &self.regions {
            match runs.last_mut() {
                Some((_, end, rights))
                    if *end == start && *rights == region.rights && region.file.is_none() =>
                {
                    *end = region.end;
                }
                _ => runs.push((start, region.end, region.rights)),
            }
        }
        for (start, end, rights) in runs {
            let right = |right, letter| match rights.contains(right) {
                true => letter,
                false => '-',
            };
            let (read, write, execute) = (
                right(Rights::READ, 'r'),
                right(Rights::WRITE, 'w'),
                right(Rights::EXECUTE, 'x'),
            );
            text.push_str(&format!(
                "{start:012x}-{end:012x} {read}{write}{execute}p 00000000 00:00 0 \n"
            ));
        }
        text
    }
}
