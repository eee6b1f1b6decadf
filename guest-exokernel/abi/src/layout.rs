//! The kernel's own memory, from one set of sizes, the same way for the kernel that uses it and the VMM that places it.
//!
//! Physical, ascending: boot data below 1 MiB; kernel text (read-only) to 2 MiB; kernel data; environment pages; page-table
//! pool; then, from the next block boundary, the exported tables; then what can be granted.

use crate::address::{BLOCK_SIZE, DEVICE_HOLE, DEVICE_HOLE_END, PAGE_SIZE, align_up};
use crate::bundle::VCPUS_MAX;
use crate::capability::CapabilityEntry;
use crate::environment::{ENVIRONMENTS_MAX, EnvironmentEntry, EnvironmentId};
use crate::frame::{BlockEntry, FrameEntry};
use crate::function::{FUNCTIONS_MAX, FunctionEntry};
use crate::revocation::{REVOCATION_LOG, RevocationEntry};
use crate::slice::{SLICES, SliceEntry};

/// Where the kernel's text is loaded.
pub const KERNEL_TEXT: u64 = 0x10_0000;
/// Where the kernel's data is loaded.
pub const KERNEL_DATA: u64 = 0x20_0000;
/// Most memory of the kernel itself: its page directory maps so much.
pub const KERNEL_LIMIT: u64 = 1 << 30;
/// Most memory of a machine.
pub const MEMORY_MAX: u64 = 1 << 38;

/// Bytes from one environment's pages (environment page, call page, vector page) to the next one's.
pub const ENVIRONMENT_PAGES: u64 = 3 * PAGE_SIZE;

/// Counts that change as the machine runs; first in the exported tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Summary {
    /// Blocks that nobody owns.
    pub free_blocks: u64,
    /// Frames in use in split blocks.
    pub split_frames_used: u64,
    /// Page-table frames left in the pool.
    pub free_tables: u64,
    /// Capability slots in use.
    pub capabilities_used: u64,
    /// Environments that have not ended.
    pub environments_alive: u64,
    /// Who runs on each vCPU; nobody: the kernel, or it sleeps.
    pub running: [EnvironmentId; VCPUS_MAX],
    /// Odd while the kernel changes the exported tables. Who reads the same even number before and after has read them as they
    /// were at one moment.
    pub sequence: u64,
    /// Frames that environments own, together.
    pub frames_owned: u64,
    /// Most of them: what the host has left the machine.
    pub frames_limit: u64,
}

const _: () = assert!(size_of::<Summary>() == 128);

/// A table: where it starts, guest-physical, and how many entries it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Guest-physical address of entry 0.
    pub start: u64,
    /// Number of entries.
    pub count: u64,
}

/// What the layout depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// End (exclusive) of the kernel's data in physical memory, from its ELF file.
    pub kernel_end: u64,
    /// End (exclusive) of the highest memory of the machine.
    pub memory_end: u64,
    /// Environments that can be alive at once.
    pub environments: u64,
    /// Page-table frames of all quotas together.
    pub tables: u64,
    /// Capability slots of all quotas together.
    pub capabilities: u64,
    /// Functions on the bus.
    pub functions: u64,
    /// vCPUs.
    pub vcpus: u64,
}

/// Where everything of the kernel lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Three pages per environment: environment page, call page, vector page.
    pub environment_pages: Table,
    /// Frames for page tables.
    pub table_pool: Table,
    /// Start of the exported tables, block aligned; holds the [`Summary`].
    pub exported: u64,
    /// Exported environment table, entry 0 is environment 1.
    pub environments: Table,
    /// Exported function table.
    pub functions: Table,
    /// Exported slice table: the vector of vCPU 0, then that of vCPU 1, and so on.
    pub slices: Table,
    /// Exported revocation log.
    pub revocations: Table,
    /// Exported capability table.
    pub capabilities: Table,
    /// Exported block table.
    pub blocks: Table,
    /// Exported frame table.
    pub frames: Table,
    /// End (exclusive) of all this, block aligned: what can be granted starts here.
    pub end: u64,
}

impl Layout {
    /// Lays the kernel's memory out; `None` where the sizes are beyond the limits or do not fit into the memory.
    pub const fn new(sizes: Sizes) -> Option<Self> {
        if sizes.environments == 0
            || sizes.environments > ENVIRONMENTS_MAX as u64
            || sizes.functions > FUNCTIONS_MAX as u64
            || sizes.vcpus > VCPUS_MAX as u64
            || sizes.tables > KERNEL_LIMIT / PAGE_SIZE
            || sizes.capabilities > u32::MAX as u64
            || sizes.kernel_end > KERNEL_LIMIT
            || sizes.memory_end > MEMORY_MAX
        {
            return None;
        }
        let environment_pages = match align_up(sizes.kernel_end, PAGE_SIZE) {
            Some(start) => Table {
                start,
                count: sizes.environments,
            },
            None => return None,
        };
        let table_pool = Table {
            start: end(environment_pages, ENVIRONMENT_PAGES),
            count: sizes.tables,
        };
        let exported = match align_up(end(table_pool, PAGE_SIZE), BLOCK_SIZE) {
            Some(start) => start,
            None => return None,
        };
        let environments = Table {
            start: exported + size_of::<Summary>() as u64,
            count: sizes.environments,
        };
        let functions = Table {
            start: end(environments, size_of::<EnvironmentEntry>() as u64),
            count: sizes.functions,
        };
        let slices = Table {
            start: end(functions, size_of::<FunctionEntry>() as u64),
            count: sizes.vcpus * SLICES as u64,
        };
        let revocations = Table {
            start: end(slices, size_of::<SliceEntry>() as u64),
            count: REVOCATION_LOG as u64,
        };
        let capabilities = Table {
            start: end(revocations, size_of::<RevocationEntry>() as u64),
            count: sizes.capabilities,
        };
        let blocks = Table {
            start: end(capabilities, size_of::<CapabilityEntry>() as u64),
            count: sizes.memory_end / BLOCK_SIZE,
        };
        let frames = Table {
            start: end(blocks, size_of::<BlockEntry>() as u64),
            count: sizes.memory_end / PAGE_SIZE,
        };
        let limit = match align_up(end(frames, size_of::<FrameEntry>() as u64), BLOCK_SIZE) {
            Some(limit) => limit,
            None => return None,
        };
        // The last two blocks of the directory are the kernel's second view of the summary, and its window on other memory.
        if limit > KERNEL_LIMIT - 2 * BLOCK_SIZE || limit > sizes.memory_end {
            return None;
        }
        Some(Self {
            environment_pages,
            table_pool,
            exported,
            environments,
            functions,
            slices,
            revocations,
            capabilities,
            blocks,
            frames,
            end: limit,
        })
    }
}

/// End (exclusive) of a table, rounded up to a multiple of 8 bytes by the entries' own sizes.
const fn end(table: Table, entry_size: u64) -> u64 {
    table.start + table.count * entry_size
}

/// End (exclusive) of the highest memory of a machine with `size` bytes: what does not fit below the device hole lies above it.
pub const fn memory_end(size: u64) -> u64 {
    if size <= DEVICE_HOLE {
        size
    } else {
        size - DEVICE_HOLE + DEVICE_HOLE_END
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Sizes = Sizes {
        kernel_end: 0x24_0123,
        memory_end: 64 << 20,
        environments: 2,
        tables: 64,
        capabilities: 64,
        functions: 3,
        vcpus: 2,
    };

    #[test]
    fn layout_is_ascending_and_aligned() {
        let layout = Layout::new(SMALL).unwrap();
        assert_eq!(layout.environment_pages.start, 0x24_1000);
        assert_eq!(layout.exported, 4 << 20);
        assert!(
            layout.frames.start > layout.blocks.start
                && layout.blocks.start > layout.capabilities.start
        );
        assert_eq!(layout.frames.start % 8, 0);
        assert_eq!(layout.end, 6 << 20);
    }

    #[test]
    fn layout_is_refused_where_it_does_not_fit() {
        assert_eq!(
            Layout::new(Sizes {
                memory_end: 4 << 20,
                ..SMALL
            }),
            None
        );
        assert_eq!(
            Layout::new(Sizes {
                environments: 0,
                ..SMALL
            }),
            None
        );
        assert_eq!(
            Layout::new(Sizes {
                environments: 1025,
                ..SMALL
            }),
            None
        );
        assert_eq!(
            Layout::new(Sizes {
                tables: u64::MAX,
                ..SMALL
            }),
            None
        );
    }

    #[test]
    fn memory_above_the_hole_is_moved_up() {
        assert_eq!(memory_end(64 << 20), 64 << 20);
        assert_eq!(memory_end(DEVICE_HOLE), DEVICE_HOLE);
        assert_eq!(memory_end(4 << 30), 5 << 30);
    }
}
