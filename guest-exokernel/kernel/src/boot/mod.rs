//! From the loader to the first libOS instruction. What cannot be understood ends the machine with a reason.
//!
//! Short because every instruction counts: tables that need no code are in the image (`hw/assembly/tables.S`), memory arrives
//! zeroed, and zero is the encoding of free everywhere.

mod bundle;
mod environment;
mod information;

use exo_abi::address::{BLOCK_SIZE, EXPORTED_TABLES, PAGE_SHIFT, PAGE_SIZE, align_up};
use exo_abi::bundle::{BundleHeader, Features};
use exo_abi::interface_page::{INTERFACE_MAGIC, InterfacePage};
use exo_abi::layout::{Layout, Sizes, Table};
use exo_abi::pvh::{ModuleEntry, START_MAGIC, StartInfo};
use exo_abi::virtio::DEVICE_IOMMU;
use exo_abi::{ABI_VERSION, EnvironmentId};
use exo_ledger::Ledger;

use self::bundle::Bundle;
use self::environment::{claim_image, grant, start_environment};
use self::information::{memory_ranges, open, read, refuse};
use crate::hw::paging::TablePool;
use crate::hw::{interface_page, memory, registers, switch, vcpu};
use crate::kernel::{ENVIRONMENTS, KERNEL, Kernel, PREDICATES, VCPUS, with_kernel};
use crate::predicates::Predicates;
use crate::scheduler;

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
        environments: header.environments,
        tables: header.tables,
        capabilities: header.capabilities,
        functions: u64::from(header.function_count),
        vcpus: u64::from(header.vcpus),
    };
    let Some(layout) = Layout::new(sizes) else {
        refuse(format_args!(
            "{} MiB of memory do not hold the kernel's tables",
            memory_end >> 20
        ));
    };
    memory::map_kernel(&layout);
    let (Some(environments), Some(vcpus), Some(predicates)) =
        (ENVIRONMENTS.take(), VCPUS.take(), PREDICATES.take())
    else {
        refuse(format_args!("booted twice"));
    };
    let mut kernel = Kernel {
        ledger: Ledger::new(
            memory::exported_tables(&layout),
            memory,
            layout.end >> PAGE_SHIFT,
        ),
        pool: TablePool::new(layout.table_pool),
        environment_pages: layout.environment_pages.start,
        environments,
        vcpus,
        predicates: Predicates::new(predicates),
        iommu: None,
        features: header.features,
        has_timer: has_timer(&header),
        slice_ticks: slice_ticks(&header),
        // A millisecond: time enough to save all registers on any host.
        grace_ticks: header.tsc_khz,
        first_revocation: EnvironmentId::NOBODY,
    };
    kernel.ledger.set_table_pool(layout.table_pool.count);
    let records = bundle.size.div_ceil(PAGE_SIZE);
    let kept = kernel.ledger.keep_frames(bundle.frame(0), records);
    grant(kept, 0, "records of the bundle");
    record_functions(&mut kernel, &bundle);
    // All programs before the first grant: no grant may take a frame that holds a program.
    let images = u64::from(header.environment_count);
    for number in 0..images {
        claim_image(&mut kernel, &bundle, number);
    }
    // Behind those of the image come the numbers of those that they may make.
    let mut next = images + 1;
    for number in 0..images {
        next += start_environment(&mut kernel, &layout, &bundle, number, next);
    }
    interface_page::fill(&describe(&layout, &sizes, &header));
    bundle.window.close(&layout);
    memory::map_summary(&layout);
    start_machine(kernel, &header)
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

/// Whether there is a timer, and a unit to measure its time by.
fn has_timer(header: &BundleHeader) -> bool {
    const NEEDED: u64 = Features::X2APIC | Features::TSC_DEADLINE;
    header.features & NEEDED == NEEDED && header.tsc_khz != 0
}

/// The length of a slice in ticks; 0 where there is no timer.
fn slice_ticks(header: &BundleHeader) -> u64 {
    // Longer ones would have the stub of the timer, which looks at half of a time stamp, take the next slice for this one.
    const LONGEST: u64 = 1 << 31;
    if !has_timer(header) {
        return 0;
    }
    (header.tsc_khz.saturating_mul(header.slice) / 1000).min(LONGEST)
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
        slices: address(layout.slices),
        slice_count: layout.slices.count,
        slice_ticks: slice_ticks(header),
        revocations: address(layout.revocations),
    }
}

/// Makes the state reachable, finds the gate, starts the other vCPUs, and runs the first environment.
fn start_machine(mut kernel: Kernel, header: &BundleHeader) -> ! {
    let first = match kernel.environment(EnvironmentId(1)) {
        Ok(environment) => environment.context,
        Err(_) => refuse(format_args!("the bundle has no environment")),
    };
    *KERNEL.lock(|| {}) = Some(kernel);
    start_vcpu(vcpu::start_area(0), header.features);
    // Any environment's address space serves for the probe, whose entry into the kernel is left where the environment's start is.
    let (instruction, stack) = first.pages.resume_point();
    switch::prepare(0, &first);
    interface_page::set_gate(interface_page::probe());
    first.pages.set_resume_point(instruction, stack);
    if header.vcpus > 1 {
        if header.features & Features::X2APIC == 0 {
            refuse(format_args!(
                "{} vCPUs, but no x2APIC to start them",
                header.vcpus
            ));
        }
        switch::start_vcpus(header.vcpus);
    }
    scheduler::run_next(0)
}

/// What every vCPU needs before it enters ring 3.
fn start_vcpu(area: u64, features: u64) {
    registers::start_syscall(interface_page::syscall_entry(), area);
    if features & Features::X2APIC != 0 {
        registers::start_apic();
    }
    registers::set_control_features(features);
}

/// Called by boot.S on every vCPU but the first.
pub extern "C" fn join_machine(index: u64) -> ! {
    let index = index as usize;
    // First: who waits for the lock has to know which vCPU it is.
    let area = vcpu::start_area(index);
    let features = with_kernel(|kernel| kernel.features);
    start_vcpu(area, features);
    scheduler::run_next(index)
}
