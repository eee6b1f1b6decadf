//! Recounts the ledger from first principles. For tests, never for a call: the cost is that of all tables together.

mod capabilities;
mod environments;
mod functions;
mod holders;
mod memory;
mod slices;
mod tree;

use crate::Ledger;

/// What does not add up, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inconsistency {
    /// A capability names a frame that its holder does not own, or owns in another way.
    ForeignFrame(u64),
    /// So many frames have an owner, and no capability names them, or the reverse.
    UnnamedFrame(u64),
    /// Two capabilities, neither derived, name the same frame or function; the slots.
    SharedName(u32, u32),
    /// An entry of the block table has fields that its state does not allow, or the wrong number of used frames.
    Block(u64),
    /// An entry of the frame table has fields although its block is not split, or a reserved field.
    Frame(u64),
    /// A free frame or block is mapped.
    FreeInUse(u64),
    /// Somebody owns what is no memory of this machine.
    NoMemory(u64),
    /// The links of this slot to its parent, children or neighbours in the tree of derivation are wrong.
    Tree(u32),
    /// This slot names or may do what its parent does not.
    Derived(u32),
    /// So many derived capabilities are in no list of children.
    Orphans(u64),
    /// A slot of the capability table is neither in good use, nor clean.
    Slot(u32),
    /// The list of free slots is a loop, or misses a slot.
    FreeList(u32),
    /// The list of what an environment holds has this slot wrongly, or ends here too early.
    HolderList(u32),
    /// A function is owned without a capability, or the reverse; or it is bound or mapped by nobody, or by two.
    Function(u32),
    /// A slot of the slice vector, counted through all vCPUs, runs somebody who has not bound it, or nobody although it was allocated.
    Slice(u32),
    /// An environment's count of something is wrong, or beyond its quota.
    EnvironmentCount(u16),
    /// An environment that was made is alive, and no root of environment numbers that its owner holds names it.
    Owner(u16),
    /// The summary is wrong.
    Summary,
}

impl Ledger<'_> {
    /// Checks every invariant of the tables against every other.
    pub fn audit(&self) -> Result<(), Inconsistency> {
        self.audit_memory()?;
        let unused = self.audit_free_list()?;
        self.audit_slots(unused)?;
        self.audit_holders()?;
        self.audit_tree()?;
        self.audit_names()?;
        self.audit_functions()?;
        self.audit_slices()?;
        self.audit_environments()
    }
}
