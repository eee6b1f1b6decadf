//! The sequence number by which readers of the exported tables notice that these changed meanwhile.

use core::sync::atomic::{Ordering, compiler_fence};

use crate::Ledger;

impl Ledger<'_> {
    /// Makes the sequence odd: what readers see from now on may be half of a change. The kernel calls it when it has taken its lock.
    pub fn begin_change(&mut self) {
        self.step();
        // Stores become visible in the order of the program (Intel SDM volume 3, section 9.2.2); the compiler has to keep it too.
        compiler_fence(Ordering::SeqCst);
    }

    /// Makes it even again. The kernel calls it before it frees its lock.
    pub fn end_change(&mut self) {
        compiler_fence(Ordering::SeqCst);
        self.step();
    }

    fn step(&mut self) {
        let sequence = &mut self.tables.summary.sequence;
        *sequence = sequence.wrapping_add(1);
    }
}
