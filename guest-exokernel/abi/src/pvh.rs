//! What a PVH loader leaves for the kernel (Xen `include/public/arch-x86/hvm/start_info.h`).

/// `hvm_start_info` magic.
pub const START_MAGIC: u32 = 0x336e_c578;
/// Type of the ELF note with the 32-bit physical entry point (`XEN_ELFNOTE_PHYS32_ENTRY`).
pub const NOTE_PHYS32_ENTRY: u32 = 18;
/// Usable memory in the memory map.
pub const MEMORY_RAM: u32 = 1;

/// `hvm_start_info`, version 1. All addresses are guest-physical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct StartInfo {
    /// [`START_MAGIC`].
    pub magic: u32,
    /// 1.
    pub version: u32,
    /// Flags.
    pub flags: u32,
    /// Modules.
    pub module_count: u32,
    /// Address of the [`ModuleEntry`] list.
    pub modules: u64,
    /// Address of the command line, zero-terminated.
    pub command_line: u64,
    /// Address of the ACPI RSDP, or 0.
    pub rsdp: u64,
    /// Address of the [`MemoryEntry`] list.
    pub memory_map: u64,
    /// Its entries.
    pub memory_map_entries: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<StartInfo>() == 56);

/// One boot module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct ModuleEntry {
    /// Where it is.
    pub address: u64,
    /// Its bytes.
    pub size: u64,
    /// Address of its command line, or 0.
    pub command_line: u64,
    /// Zero.
    pub reserved: u64,
}

const _: () = assert!(size_of::<ModuleEntry>() == 32);

/// One range of the memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct MemoryEntry {
    /// Where it starts.
    pub address: u64,
    /// Its bytes.
    pub size: u64,
    /// [`MEMORY_RAM`], or something else that is not for us.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<MemoryEntry>() == 24);
