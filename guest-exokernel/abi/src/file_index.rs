//! The index of a root file system: names and attributes, and where the contents lie.
//!
//! The VMM makes it of a directory or an archive; a personality reads it in its attached blocks. The kernel knows nothing of it.
//! From its start: an [`IndexHeader`], [`IndexNode`]s, [`IndexEntry`]s, names. Node 0 is the root directory.

/// "EXOINDEX" in memory.
pub const INDEX_MAGIC: u64 = u64::from_le_bytes(*b"EXOINDEX");
/// [`IndexNode::data`] of a file that the host does not let its user read.
pub const UNREADABLE: u64 = u64::MAX;

/// First in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct IndexHeader {
    /// [`INDEX_MAGIC`].
    pub magic: u64,
    /// Nodes; they follow the header.
    pub nodes: u32,
    /// Directory entries; they follow the nodes.
    pub entries: u32,
    /// Bytes of names, which follow the entries.
    pub names: u64,
}

const _: () = assert!(size_of::<IndexHeader>() == 24);

/// A file, directory, symbolic link or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct IndexNode {
    /// Type and permissions, as in `st_mode` (inode(7)).
    pub mode: u32,
    /// Names that it has.
    pub links: u32,
    /// Owner.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Last change of the contents, in nanoseconds since 1970.
    pub modified: u64,
    /// A regular file: where its bytes lie in the attached blocks, or [`UNREADABLE`]. A directory: its first entry. A
    /// symbolic link: where its target lies among the names. A device: its number, as in `st_rdev`.
    pub data: u64,
    /// A regular file or a symbolic link: bytes. A directory: entries.
    pub size: u64,
}

const _: () = assert!(size_of::<IndexNode>() == 40);

/// A name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct IndexEntry {
    /// What has it.
    pub node: u32,
    /// Bytes of the name.
    pub name_bytes: u32,
    /// Where it lies among the names.
    pub name: u64,
}

const _: () = assert!(size_of::<IndexEntry>() == 16);
