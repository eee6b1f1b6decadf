//! Frames for page tables.

use exo_abi::address::PAGE_SIZE;
use exo_abi::layout::Table;
use exo_abi::port::ExitCode;

use super::{read, write};
use crate::hw::console;

/// Zeroed tables. The quotas of all environments together are the pool, so who is within its quota gets one.
pub struct TablePool {
    next: u64,
    end: u64,
    /// Emptied table, whose first word is the address of another one; 0 ends the list.
    emptied: u64,
}

impl TablePool {
    /// All frames of `table`, which are zero.
    pub fn new(table: Table) -> Self {
        Self {
            next: table.start,
            end: table.start + table.count * PAGE_SIZE,
            emptied: 0,
        }
    }

    /// A zeroed table.
    pub(super) fn take(&mut self) -> u64 {
        if self.emptied != 0 {
            let table = self.emptied;
            self.emptied = read(table, 0);
            write(table, 0, 0);
            return table;
        }
        let table = self.next;
        if table >= self.end {
            // Only while booting: what runs is within its quota.
            let reason = format_args!("the page-table quotas do not hold the programs");
            console::end_machine_because(ExitCode::BadBoot, reason);
        }
        self.next += PAGE_SIZE;
        table
    }

    /// Takes a table back whose entries are all zero.
    pub(super) fn put_back(&mut self, table: u64) {
        write(table, 0, self.emptied);
        self.emptied = table;
    }
}
