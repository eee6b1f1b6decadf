//! From the loader to the first libOS instruction. What cannot be understood ends the machine with a reason.
//!
//! Short because every instruction counts: tables that need no code are in the image (`hw/assembly/tables.S`), memory arrives
//! zeroed, and zero is the encoding of free everywhere.

use core::fmt::Arguments;

use exo_abi::address::{
    BLOCK_ORDER, BLOCK_SIZE, DEVICE_HOLE, EXPORTED_TABLES, PAGE_SHIFT, PAGE_SIZE, align_up,
};
use exo_abi::bundle::{BUNDLE_MAGIC, BundleHeader, EnvironmentRecord, Features};
use exo_abi::call::ANY_FRAME;
use exo_abi::environment::INITIAL_CAPABILITIES_MAX;
use exo_abi::function::FunctionRecord;
use exo_abi::interface_page::{INTERFACE_MAGIC, InterfacePage};
use exo_abi::layout::{ENVIRONMENT_PAIR, KERNEL_TEXT, Layout, Sizes, Table};
use exo_abi::port::{CONSOLE_PORT, ExitCode};
use exo_abi::pvh::{MEMORY_RAM, MemoryEntry, ModuleEntry, START_MAGIC, StartInfo};
use exo_abi::virtio::DEVICE_IOMMU;
use exo_abi::{ABI_VERSION, Capability, EnvironmentId, Error, Kind, Rights};
use exo_ledger::{FrameRange, Ledger, Quotas};

use crate::hw::environment_pages::{EnvironmentPages, Start};
use crate::hw::memory::{self, Window};
use crate::hw::paging::{AddressSpace, TablePool, leaf_flags};
use crate::hw::vcpu::VCPUS_MAX;
use crate::hw::{console, interface_page, registers, switch, vcpu};
use crate::kernel::{ENVIRONMENTS, KERNEL, Kernel, VCPUS, with_kernel};
use crate::scheduler;

/// Ends the machine: what the loader left is not what this kernel can start from.
fn refuse(reason: Arguments) -> ! {
    console::end_machine_because(ExitCode::BadBoot, reason)
}

/// Reads a record of the boot information.
fn read<T: Copy>(window: &Window, address: u64, what: &str) -> T {
    match window.read(address) {
        Some(record) => record,
        None => refuse(format_args!(
            "{what} at {address:#x} lies outside the boot information"
        )),
    }
}

/// Opens a window on boot information.
fn open(start: u64, size: u64, what: &str) -> Window {
    match Window::open(start, size) {
        Some(window) => window,
        None => refuse(format_args!(
            "{what} at {start:#x} lies beyond the kernel's reach; give the machine less memory"
        )),
    }
}

/// Called by boot.S on vCPU 0, with the physical address of the start information.
pub extern "C" fn boot_machine(start_info: u32) -> ! {
    let low = open(0, BLOCK_SIZE, "start information");
    let start: StartInfo = read(&low, u64::from(start_info), "start information");
    if start.magic != START_MAGIC || start.module_count == 0 {
        refuse(format_args!(
            "no PVH start information with a module; load the bundle as the initial RAM disk"
        ));
    }
    let module: ModuleEntry = read(&low, start.modules, "module list");
    let memory = memory_ranges(&low, &start);
    let bundle = Bundle::open(module);
    let header = bundle.header;

    let memory_end = memory
        .iter()
        .map(|range| range.end << PAGE_SHIFT)
        .max()
        .unwrap_or(0);
    let sizes = Sizes {
        kernel_end: memory::end_of_kernel(),
        memory_end: align_up(memory_end, BLOCK_SIZE).unwrap_or(0),
        environments: u64::from(header.environment_count),
        tables: header.tables,
        capabilities: header.capabilities,
        functions: u64::from(header.function_count),
    };
    let Some(layout) = Layout::new(sizes) else {
        refuse(format_args!(
            "{} MiB of memory do not hold the kernel's tables",
            memory_end >> 20
        ));
    };
    memory::map_kernel(&layout);
    let (Some(environments), Some(vcpus)) = (ENVIRONMENTS.take(), VCPUS.take()) else {
        refuse(format_args!("booted twice"));
    };
    let mut kernel = Kernel {
        ledger: Ledger::new(
            memory::exported_tables(&layout),
            memory,
            layout.end >> PAGE_SHIFT,
        ),
        pool: TablePool::new(layout.table_pool),
        environments,
        vcpus,
        iommu: None,
        features: header.features,
    };
    kernel.ledger.set_table_pool(layout.table_pool.count);
    let records = bundle.size.div_ceil(PAGE_SIZE);
    let kept = kernel.ledger.keep_frames(bundle.frame(0), records);
    grant(kept, 0, "records of the bundle");
    record_functions(&mut kernel, &bundle);
    // All programs before the first grant: no grant may take a frame that holds a program.
    for number in 0..sizes.environments {
        claim_image(&mut kernel, &bundle, number);
    }
    for number in 0..sizes.environments {
        start_environment(&mut kernel, &layout, &bundle, number);
    }
    interface_page::fill(&describe(&layout, &sizes, &header));
    bundle.window.close(&layout);
    start_machine(kernel, &header)
}

/// The boot module.
struct Bundle {
    window: Window,
    start: u64,
    /// Bytes of header and records.
    size: u64,
    header: BundleHeader,
}

impl Bundle {
    /// Opens a window on the records of the bundle and checks its header.
    fn open(module: ModuleEntry) -> Self {
        let start = module.address;
        if !start.is_multiple_of(PAGE_SIZE) {
            refuse(format_args!("the bundle at {start:#x} is not page aligned"));
        }
        let header: BundleHeader = read(&open(start, PAGE_SIZE, "bundle"), start, "bundle header");
        if header.magic != BUNDLE_MAGIC {
            refuse(format_args!(
                "the module is no bundle; make one with exo bundle"
            ));
        }
        if header.abi_version != ABI_VERSION {
            refuse(format_args!(
                "the bundle has ABI version {}, this kernel {ABI_VERSION}",
                header.abi_version
            ));
        }
        let fits = header
            .pages
            .checked_mul(PAGE_SIZE)
            .is_some_and(|size| size <= align_up(module.size, PAGE_SIZE).unwrap_or(0));
        if !fits || header.vcpus == 0 || header.vcpus as usize > VCPUS_MAX {
            refuse(format_args!(
                "the bundle is cut short, or asks for more than {VCPUS_MAX} vCPUs"
            ));
        }
        let size = Self::functions_at(start, &header) - start
            + u64::from(header.function_count) * size_of::<FunctionRecord>() as u64;
        Self {
            window: open(start, size, "bundle"),
            start,
            size,
            header,
        }
    }

    fn functions_at(start: u64, header: &BundleHeader) -> u64 {
        let environments =
            u64::from(header.environment_count) * size_of::<EnvironmentRecord>() as u64;
        start + size_of::<BundleHeader>() as u64 + environments
    }

    fn environment(&self, number: u64) -> EnvironmentRecord {
        let offset =
            size_of::<BundleHeader>() as u64 + number * size_of::<EnvironmentRecord>() as u64;
        read(&self.window, self.start + offset, "environment record")
    }

    fn function(&self, number: u32) -> FunctionRecord {
        let offset = u64::from(number) * size_of::<FunctionRecord>() as u64;
        read(
            &self.window,
            Self::functions_at(self.start, &self.header) + offset,
            "function record",
        )
    }

    /// Frame number of a page of the bundle.
    fn frame(&self, page: u32) -> u64 {
        (self.start >> PAGE_SHIFT) + u64::from(page)
    }
}

/// The memory with the kernel in it, and the first memory above 4 GiB.
fn memory_ranges(low: &Window, start: &StartInfo) -> [FrameRange; 2] {
    let mut ranges = [FrameRange::default(); 2];
    for number in 0..u64::from(start.memory_map_entries) {
        let entry: MemoryEntry = read(
            low,
            start.memory_map + number * size_of::<MemoryEntry>() as u64,
            "memory map",
        );
        if entry.kind != MEMORY_RAM {
            continue;
        }
        let end = entry.address.saturating_add(entry.size);
        let range = FrameRange {
            start: entry.address.div_ceil(PAGE_SIZE),
            end: end >> PAGE_SHIFT,
        };
        let [below, above] = &mut ranges;
        if entry.address <= KERNEL_TEXT && end > KERNEL_TEXT {
            *below = range;
        } else if entry.address > DEVICE_HOLE && above.end == 0 {
            *above = range;
        }
    }
    ranges
}

fn record_functions(kernel: &mut Kernel, bundle: &Bundle) {
    for number in 0..bundle.header.function_count {
        let record = bundle.function(number);
        let owner = if record.device_type == DEVICE_IOMMU {
            EnvironmentId::KERNEL
        } else {
            EnvironmentId::NOBODY
        };
        kernel.ledger.add_function(number, record, owner);
    }
}

/// The number of an environment of the bundle, counted from 0, as an owner.
fn id(number: u64) -> EnvironmentId {
    EnvironmentId(number as u16 + 1)
}

/// Stops boot where the manifest's own quotas do not hold what it gives.
fn grant<T>(result: Result<T, Error>, number: u64, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => refuse(format_args!("environment {}: {what}: {error}", number + 1)),
    }
}

/// Records an environment, and gives it the frames of its program.
fn claim_image(kernel: &mut Kernel, bundle: &Bundle, number: u64) {
    let record = bundle.environment(number);
    let quotas = Quotas {
        frames: record.frames_quota,
        tables: record.tables_quota,
        capabilities: record.capabilities_quota,
        dma_mappings: record.dma_mappings_quota,
    };
    kernel
        .ledger
        .add_environment(id(number), &record.name, record.vcpu, quotas);
    let frames = kernel.ledger.claim_frames(
        id(number),
        bundle.frame(record.first_page),
        u64::from(record.pages),
    );
    grant(frames, number, "program");
}

/// Makes the address space of an environment, and gives it what the manifest says.
fn start_environment(kernel: &mut Kernel, layout: &Layout, bundle: &Bundle, number: u64) {
    let record = bundle.environment(number);
    let id = id(number);
    let pages = EnvironmentPages::new(layout.environment_pages.start + number * ENVIRONMENT_PAIR);
    let ledger = &mut kernel.ledger;
    let space = AddressSpace::new(&mut kernel.pool, pages.physical(), &mut || {
        ledger.add_table(id)
    });

    let blocks = u64::from(record.grant_blocks);
    let allocation = ledger.plan_allocation(id, ANY_FRAME, blocks, u64::from(BLOCK_ORDER));
    let allocation = grant(allocation, number, "memory");
    let memory = ledger.commit_allocation(id, allocation);
    space.map_window(
        &mut kernel.pool,
        allocation.first,
        allocation.count,
        true,
        &mut || ledger.add_table(id),
    );

    for segment in record.segments.iter().filter(|segment| segment.pages != 0) {
        let frame = bundle.frame(segment.first_page);
        let rights = Rights(segment.rights);
        let count = u64::from(segment.pages);
        let flags = leaf_flags(rights, false);
        space.map(
            &mut kernel.pool,
            segment.address,
            frame,
            count,
            flags,
            &mut || ledger.add_table(id),
        );
        ledger.add_mappings(frame, count);
    }

    let mut capabilities = [0; INITIAL_CAPABILITIES_MAX];
    let image = ledger.next_capability(id, 0).unwrap_or(Capability::NONE);
    let mut count = 0;
    let mut give = |capability: Capability| {
        if let Some(slot) = capabilities.get_mut(count) {
            *slot = capability.0;
            count += 1;
        }
    };
    give(memory);
    give(image);
    if record.console != 0 {
        grant(ledger.check_capability_quota(id), number, "console");
        give(ledger.add_capability(
            id,
            Kind::Ports,
            u64::from(CONSOLE_PORT),
            1,
            Rights::READ_WRITE,
        ));
    }
    for &function in record.functions.iter().take(record.function_count as usize) {
        grant(ledger.check_capability_quota(id), number, "functions");
        ledger.give_function(function, id);
        give(ledger.add_capability(
            id,
            Kind::Function,
            u64::from(function),
            1,
            Rights::READ_WRITE,
        ));
    }

    pages.write_start(&Start {
        id: u64::from(id.0),
        grant: (allocation.first, allocation.count),
        arguments: (record.arguments, u64::from(record.argument_count)),
        capabilities: capabilities.get(..count).unwrap_or_default(),
        kernel_stack: vcpu::kernel_stack(record.vcpu as usize),
    });
    if let Ok(environment) = kernel.environment(id) {
        environment.space = space;
        environment.context = switch::Context {
            pages,
            root: space.root(),
            instruction: record.entry,
            stack: 0,
            console: record.console != 0,
        };
    }
}

/// The interface page, apart from the gate.
fn describe(layout: &Layout, sizes: &Sizes, header: &BundleHeader) -> InterfacePage {
    let address = |table: Table| EXPORTED_TABLES + (table.start - layout.exported);
    InterfacePage {
        magic: INTERFACE_MAGIC,
        abi_version: ABI_VERSION,
        gate: 0,
        gate_entry: 0,
        tsc_khz: header.tsc_khz,
        features: header.features,
        vcpus: u64::from(header.vcpus),
        frames: sizes.memory_end >> PAGE_SHIFT,
        environments: address(layout.environments),
        environment_count: layout.environments.count,
        capabilities: address(layout.capabilities),
        capability_count: layout.capabilities.count,
        functions: address(layout.functions),
        function_count: layout.functions.count,
        blocks: address(layout.blocks),
        block_count: layout.blocks.count,
        frame_table: address(layout.frames),
        summary: EXPORTED_TABLES,
    }
}

/// Makes the state reachable, finds the gate, starts the other vCPUs, and runs the first environment.
fn start_machine(mut kernel: Kernel, header: &BundleHeader) -> ! {
    let first = match kernel.environment(EnvironmentId(1)) {
        Ok(environment) => environment.context,
        Err(_) => refuse(format_args!("the bundle has no environment")),
    };
    *KERNEL.lock() = Some(kernel);
    start_vcpu(0, header.features);
    // Any environment's address space serves for the probe.
    switch::prepare(0, &first);
    interface_page::set_gate(interface_page::probe());
    if header.vcpus > 1 {
        switch::start_vcpus(header.vcpus);
    }
    scheduler::run_next(0)
}

/// What every vCPU needs before it enters ring 3.
fn start_vcpu(index: usize, features: u64) {
    let area = vcpu::start_area(index);
    registers::start_syscall(interface_page::syscall_entry(), area);
    if features & Features::X2APIC != 0 {
        registers::start_apic();
    }
    if features & Features::FSGSBASE != 0 {
        registers::allow_segment_bases();
    }
}

/// Called by boot.S on every vCPU but the first.
pub extern "C" fn join_machine(index: u64) -> ! {
    let features = with_kernel(|kernel| kernel.features);
    start_vcpu(index as usize, features);
    scheduler::run_next(index as usize)
}
