//! What is told of a program's memory.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use exo_abi::Rights;
use exo_abi::address::PAGE_SIZE;

use super::Memory;

impl Memory {
    /// Whether anything is mapped in a range.
    pub fn has_any(&self, start: u64, bytes: u64) -> bool {
        let end = start.saturating_add(bytes);
        let before = self.regions.range(..end).next_back();
        before.is_some_and(|(_, region)| region.end > start)
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
