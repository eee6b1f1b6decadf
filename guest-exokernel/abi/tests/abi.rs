//! The contract as text: every number, size and offset, compared with the committed golden/abi.txt.

use std::fmt::Write as _;
use std::path::Path;

use exo_abi::bundle::{BundleHeader, EnvironmentRecord, ExtentGrant, Features, Segment};
use exo_abi::capability::CapabilityEntry;
use exo_abi::control::{Command, CommandStatus, ControlBlock};
use exo_abi::crash::{CrashRecord, CrashRegion, CrashThread};
use exo_abi::environment::{
    AbortReason, CallPage, EnvironmentEntry, EnvironmentId, EnvironmentPage, State, TransferNotes,
    TurnNotes,
};
use exo_abi::file_index::{IndexEntry, IndexHeader, IndexNode};
use exo_abi::frame::{BlockEntry, BlockState, FrameEntry};
use exo_abi::function::{FunctionEntry, FunctionRecord, QueueService, StopReason};
use exo_abi::interface_page::{Gate, InterfacePage};
use exo_abi::layout::Summary;
use exo_abi::map::MapEntry;
use exo_abi::port::{ExitCode, KERNEL_PORTS, PortRange};
use exo_abi::pvh::{MemoryEntry, ModuleEntry, StartInfo};
use exo_abi::revocation::{
    HostRequest, Repossession, RevocationEntry, RevocationEvent, RevocationKind, RevocationRequest,
};
use exo_abi::slice::SliceEntry;
use exo_abi::term::{Comparison, Source, Term};
use exo_abi::upcall::Vector;
use exo_abi::{Call, Capability, Error, Kind, Rights};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/abi.txt");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// Writes one line per value of each enumeration.
macro_rules! list_enums {
    ($out:ident: $($name:ident as $number:ty),+ $(,)?) => {
        $(for value in $name::ALL {
            writeln!($out, "enum {} {:#x} {:?} {}", stringify!($name), *value as $number, value, value.name()).unwrap();
        })+
    };
}

/// Writes one line per constant.
macro_rules! list_constants {
    ($out:ident: $($module:ident :: { $($name:ident),+ $(,)? }),+ $(,)?) => {
        $($(writeln!($out, "const {} {:#x}", stringify!($name), exo_abi::$module::$name).unwrap();)+)+
    };
}

/// Writes size and offsets; the pattern does not compile while a field is missing from the list.
macro_rules! list_structs {
    ($out:ident: $($name:ident { $($field:ident),+ $(,)? }),+ $(,)?) => {
        $({
            #[allow(dead_code)]
            fn names_every_field(value: &$name) {
                let $name { $($field: _),+ } = value;
            }
            writeln!($out, "struct {} size {:#x} align {}", stringify!($name), size_of::<$name>(), align_of::<$name>()).unwrap();
            $(writeln!($out, "  {:#05x} {}", core::mem::offset_of!($name, $field), stringify!($field)).unwrap();)+
        })+
    };
}

/// The whole contract, one fact per line.
fn describe() -> String {
    let mut out = String::new();
    writeln!(out, "version {}", exo_abi::ABI_VERSION).unwrap();
    list_enums!(out:
        Call as u32, Error as u64, Kind as u8, State as u32, AbortReason as u32, Vector as u64, Gate as u32,
        BlockState as u8, Command as u64, CommandStatus as u64, QueueService as u32, StopReason as u32, ExitCode as u32,
        RevocationKind as u8, HostRequest as u64, RevocationEvent as u8,
        Comparison as u8, Source as u8,
    );
    for (name, rights) in [
        ("NONE", Rights::NONE),
        ("READ", Rights::READ),
        ("WRITE", Rights::WRITE),
        ("EXECUTE", Rights::EXECUTE),
        ("DERIVE", Rights::DERIVE),
        ("REVOKE", Rights::REVOKE),
        ("MAPPING", Rights::MAPPING),
        ("CAPABILITY", Rights::CAPABILITY),
    ] {
        writeln!(out, "rights {name} {:#x}", rights.0).unwrap();
    }
    for (name, bit) in [
        ("CONTROL_DEVICE", Features::CONTROL_DEVICE),
        ("X2APIC", Features::X2APIC),
        ("FSGSBASE", Features::FSGSBASE),
        ("IOMMU", Features::IOMMU),
        ("CLEAR_AVX", Features::CLEAR_AVX),
        ("CLEAR_AVX512", Features::CLEAR_AVX512),
        ("SMEP", Features::SMEP),
        ("SMAP", Features::SMAP),
        ("UMIP", Features::UMIP),
        ("TSC_DEADLINE", Features::TSC_DEADLINE),
    ] {
        writeln!(out, "feature {name} {bit:#x}").unwrap();
    }
    let word = Capability::new(0x1234, 0x5678).0;
    writeln!(out, "capability slot 0x1234 generation 0x5678 {word:#x}").unwrap();
    let (nobody, kernel) = (EnvironmentId::NOBODY.0, EnvironmentId::KERNEL.0);
    writeln!(out, "environment nobody {nobody} kernel {kernel:#x}").unwrap();
    list_constants!(out:
        address::{
            PAGE_SIZE, PAGE_SHIFT, COLOURS_MAX, BLOCK_SIZE, BLOCK_ORDER, BLOCK_FRAMES, PROGRAM_BASE, PROGRAM_END, FRAME_WINDOW,
            FRAME_WINDOW_SIZE, LOWER_HALF_END, PAGE_TABLES, ENVIRONMENT_PAGE, CALL_PAGE, VECTOR_PAGE, INTERFACE_PAGE, EXPORTED_TABLES, KERNEL_BASE,
            KERNEL_DEVICES, DEVICE_HOLE, DEVICE_HOLE_END,
        },
        bundle::{BUNDLE_MAGIC, SEGMENTS_MAX, ENVIRONMENT_FUNCTIONS_MAX, ENVIRONMENT_PORTS_MAX, ENVIRONMENT_EXTENTS_MAX,
            VCPUS_MAX,
        },
        call::{CALL_BASE, CALL_COUNT, ANY_FRAME, ANY_ENVIRONMENT},
        capability::{DEPTH_MAX, RETIRED, REVOKE_BATCH, KIND_NUMBERS},
        control::{CONTROL_VECTOR},
        environment::{
            ENVIRONMENTS_MAX, NAME_MAX, INITIAL_CAPABILITIES_MAX, EXCEPTION_STACK_TOP, UPCALL_SLOTS, EVENTS_MAX,
            UPCALL_CREDIT, ACCEPTS_ANY, KEPT_TABLES, SLICE_STACK_TOP, SAVED_REGISTERS,
        },
        error::{DONE},
        file_index::{INDEX_MAGIC, UNREADABLE},
        function::{
            FUNCTIONS_MAX, QUEUES_MAX, COMMON_PAGE, ISR_PAGE, DEVICE_PAGE, SERVICE_PAGE, REGISTER_PAGES,
            DOORBELL_STRIDE, MSIX_TABLE, MSIX_PENDING, MSIX_BAR_SIZE, VECTORS_MAX, ROUTES_MAX, PCI_COMMAND, PCI_COMMAND_MEMORY,
            PCI_COMMAND_BUS_MASTER, PCI_MSIX_CAPABILITY, PCI_MSIX_ENABLE, STOP_REASONS,
        },
        interface_page::{INTERFACE_MAGIC, GATE_CODE_OFFSET},
        layout::{KERNEL_TEXT, KERNEL_DATA, KERNEL_LIMIT, MEMORY_MAX, ENVIRONMENT_PAGES},
        map::{MAP_BATCH, MAP_PAGES_MAX, LARGE_PAGES},
        page_entry::{PRESENT, WRITE, USER, ACCESSED, DIRTY, LARGE, NO_EXECUTE, ADDRESS},
        crash::{CRASH_THREADS_MAX, CRASH_REGIONS_MAX, CRASH_AUXILIARY_MAX},
        port::{CONSOLE_PORT, ERROR_PORT, CRASH_PORT, EXIT_PORT, CONTROL_PORT, PORTS_END},
        pvh::{START_MAGIC, NOTE_PHYS32_ENTRY, MEMORY_RAM},
        term::{PREDICATE_TERMS_MAX, FILTER_TERMS_MAX, FILTER_REACH, END_OF_PRODUCT},
        slice::{SLICES, ANY_POSITION},
        revocation::{REPOSSESSIONS, REVOCATION_LOG},
        upcall::{UPCALL_ENTRY_STRIDE, VECTOR_SYSCALL},
        version::{NOTE_TYPE_ABI_VERSION},
        virtio::{
            DEVICE_BLOCK, DEVICE_CONSOLE, DEVICE_IOMMU, NO_VECTOR, AVAILABLE_NO_INTERRUPT, USED_NO_NOTIFY,
        },
    );
    writeln!(out, "const KERNEL_PORTS {KERNEL_PORTS:x?}").unwrap();
    writeln!(out, "const NOTE_NAME {:?}", exo_abi::version::NOTE_NAME).unwrap();
    let section = exo_abi::version::NOTE_SECTION;
    writeln!(out, "const NOTE_SECTION {section}").unwrap();
    list_structs!(out:
        BundleHeader {
            magic, abi_version, environment_count, function_count, vcpus, features, tsc_khz, pages, tables,
            capabilities, slice, environments,
        },
        PortRange { first, count },
        ExtentGrant { disk, writable, first, sectors },
        Segment { address, first_page, pages, rights, reserved },
        EnvironmentRecord {
            name, entry, segments, first_page, pages, grant_blocks, vcpu, arguments, argument_count, frames_quota,
            tables_quota, capabilities_quota, dma_mappings_quota, slices_quota, environments, function_count, ports, extents, functions, attached_first, attached_blocks,
        },
        CapabilityEntry {
            first, count, generation, next, holder, kind, rights, previous, resource, parent, first_child, next_sibling,
            previous_sibling, first_mapping, bound, depth, guaranteed, reserved,
        },
        ControlBlock { command, arguments, status },
        EnvironmentEntry {
            name, state, abort_reason, exit_status, abort_vector, abort_error_code, abort_instruction, abort_address,
            vcpu, frames, frames_quota, tables, tables_quota, capabilities, capabilities_quota, dma_mappings,
            dma_mappings_quota, first_capability, accepts, frames_guaranteed, slices_quota, owner, slices, reserved, calls, interrupts,
            ticks, turns, forced_switches, penalties, held,
        },
        EnvironmentPage {
            id, capability_count, grant_first, grant_frames, arguments, argument_count, capabilities, revocation, repossessions,
            reserved, saved_floating_point, saved_registers, saved_frame, saved_bases, saved_reserved, slice_frame, slice_end_entry,
            slice_code_segment, slice_flags, slice_stack, slice_stack_segment, slice_grace, slice_begin_entry, saved_gate_frame,
            slice_upcall_frame, slice_reserved,
            turn, exception_stack, upcall_code_segment, upcall_flags, upcall_stack, upcall_stack_segment, upcall_entries,
            kernel_stack, event_frame, event_entry, event_stack, tail, transfer,
        },
        TurnNotes { frame, terms, next, previous },
        TransferNotes { record, running, task_state, root, terms, peer, bound, target, entry, status },
        CallPage {
            upcall_credit, reserved, events, start_time, bytes, requests, slice_credit, reserved2, event_credit, reserved3, unused, event_counters, batch,
        },
        BlockEntry { owner, state, reserved, used, reserved2, mappings, reserved3 },
        IndexHeader { magic, nodes, entries, names },
        IndexNode { mode, links, user, group, modified, data, size },
        IndexEntry { node, name_bytes, name },
        FrameEntry { owner, reserved, mappings },
        FunctionRecord {
            address, device_type, registers, doorbells, msix, configuration, queues, vectors, disk, reserved,
        },
        FunctionEntry { record, owner, bound, reserved, routes, queues, extent },
        InterfacePage {
            magic, abi_version, gate, gate_entry, tsc_khz, features, vcpus, frames, environments, environment_count,
            capabilities, capability_count, functions, function_count, blocks, block_count, frame_table, summary, slices,
            slice_count, slice_ticks, revocations,
        },
        Summary {
            free_blocks, split_frames_used, free_tables, capabilities_used, environments_alive, running, sequence,
            frames_owned, frames_limit,
        },
        SliceEntry { owner, reserved, ticks },
        RevocationRequest { serial, kind, count, goal, deadline, answered, repossessed, reserved },
        CrashRecord {
            process, parent, signal, code, address, threads, regions, auxiliary, thread_count, region_count,
            auxiliary_bytes, path_bytes, path,
        },
        CrashThread { number, registers, floating_point },
        CrashRegion { start, end, rights },
        Repossession { capability, first, count, request },
        RevocationEntry { number, time, first, count, serial, environment, event, kind },
        MapEntry { address, frame, pages, rights, capability },
        Term { comparison, source, width, flags, offset, capability, frame, mask, value },
        StartInfo {
            magic, version, flags, module_count, modules, command_line, rsdp, memory_map, memory_map_entries, reserved,
        },
        ModuleEntry { address, size, command_line, reserved },
        MemoryEntry { address, size, kind, reserved },
    );
    out
}

#[test]
fn contract_equals_the_golden_text() {
    let now = describe();
    if std::env::var_os("EXO_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(GOLDEN, &now).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    let changed: Vec<String> = now
        .lines()
        .filter(|line| !golden.lines().any(|old| old == *line))
        .map(|line| format!("+ {line}"))
        .chain(
            golden
                .lines()
                .filter(|line| !now.lines().any(|new| new == *line))
                .map(|line| format!("- {line}")),
        )
        .collect();
    assert!(
        now == golden,
        "the ABI differs from golden/abi.txt:\n{}\nIf this is meant: raise ABI_VERSION if a released meaning changed, say so \
         in ABI.md and CHANGELOG.md, then run EXO_GOLDEN=write cargo test -p exo-abi --test abi",
        changed.join("\n")
    );
}

#[test]
fn golden_text_lists_every_constant_structure_and_enumeration() {
    let golden = describe();
    let mut missing = Vec::new();
    for file in std::fs::read_dir(Path::new(SOURCES)).unwrap() {
        let path = file.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        for line in source.lines() {
            let line = line.trim_end();
            let words: Vec<&str> = line
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .collect();
            let expected = match words.as_slice() {
                // Constants of a module start in the first column; those of a type are listed with it.
                ["pub", "const", "fn", ..] => continue,
                ["pub", "const", name, ..] if *name != "ABI_VERSION" => format!("const {name} "),
                ["", "", "", "", "pub", "enum", name, ..] => format!("enum {name} "),
                _ => match line.strip_prefix("pub struct ") {
                    Some(rest) if source_is_repr_c(&source, rest) => {
                        format!("struct {} ", rest.trim_end_matches(" {"))
                    }
                    _ => continue,
                },
            };
            if !golden.lines().any(|line| line.starts_with(&expected)) {
                missing.push(format!("{}: {expected}", path.display()));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "tests/abi.rs does not describe:\n{}",
        missing.join("\n")
    );
}

/// Whether the structure whose line continues with `rest` is laid out for somebody else to read.
fn source_is_repr_c(source: &str, rest: &str) -> bool {
    let Some(position) = source.find(&format!("pub struct {rest}")) else {
        return false;
    };
    source[..position]
        .lines()
        .rev()
        .take_while(|line| !line.is_empty())
        .any(|line| line == "#[repr(C)]")
}
