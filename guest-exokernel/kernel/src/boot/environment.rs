//! Environments of the bundle: what the manifest gives each before its first instruction.

use exo_abi::address::BLOCK_ORDER;
use exo_abi::call::ANY_FRAME;
use exo_abi::environment::{INITIAL_CAPABILITIES_MAX, KEPT_TABLES};
use exo_abi::layout::{ENVIRONMENT_PAGES, Layout};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};
use exo_ledger::{Name, Quotas};

use super::bundle::Bundle;
use super::information::refuse;
use crate::hw::environment_pages::{EnvironmentPages, Start};
use crate::hw::paging::{AddressSpace, TABLE_FRAMES, leaf_flags, runs};
use crate::hw::{interface_page, switch, vcpu};
use crate::kernel::Kernel;
use crate::ports::PortSet;
use crate::slices;
use crate::transfer;

/// The number of an environment of the bundle, counted from 0, as an owner.
fn id(number: u64) -> EnvironmentId {
    EnvironmentId(number as u16 + 1)
}

/// Stops boot where the manifest's own quotas do not hold what it gives.
pub fn grant<T>(result: Result<T, Error>, number: u64, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => refuse(format_args!("environment {}: {what}: {error}", number + 1)),
    }
}

/// Records an environment, and gives it the frames of its program.
pub fn claim_image(kernel: &mut Kernel, bundle: &Bundle, number: u64) {
    let record = bundle.environment(number);
    let quotas = Quotas {
        frames: record.frames_quota,
        tables: record.tables_quota,
        capabilities: record.capabilities_quota,
        dma_mappings: record.dma_mappings_quota,
        slices: record.slices_quota,
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
    let blocks = u64::from(record.attached_blocks);
    if blocks != 0 {
        let first = u64::from(record.attached_first) << BLOCK_ORDER;
        let ledger = &mut kernel.ledger;
        let allocation =
            ledger.plan_allocation(id(number), first, blocks, u64::from(BLOCK_ORDER), 0);
        ledger.commit_allocation(id(number), grant(allocation, number, "attached blocks"));
    }
}

/// Makes the address space of an environment, gives it what the manifest says, and lets it run. The numbers of environments that it may
/// make start at `first_made`; the answer is how many.
pub fn start_environment(
    kernel: &mut Kernel,
    layout: &Layout,
    bundle: &Bundle,
    number: u64,
    first_made: u64,
) -> u64 {
    let record = bundle.environment(number);
    let id = id(number);
    let pages = EnvironmentPages::new(layout.environment_pages.start + number * ENVIRONMENT_PAGES);
    let ledger = &mut kernel.ledger;
    // What `claim_image` gave is all that it has yet.
    let newest = ledger.newest_capability(id).unwrap_or(Capability::NONE);
    let (image, attached) = match ledger.older_capability(id, newest) {
        Some(image) => (image, Some(newest)),
        None => (newest, None),
    };
    let space = AddressSpace::new(&mut kernel.pool, pages.physical());
    ledger.add_tables(id, KEPT_TABLES);

    let blocks = u64::from(record.grant_blocks);
    let allocation = ledger.plan_allocation(id, ANY_FRAME, blocks, u64::from(BLOCK_ORDER), 0);
    let allocation = grant(allocation, number, "memory");
    let memory = ledger.commit_allocation(id, allocation);
    space.map_window(
        &mut kernel.pool,
        allocation.first,
        allocation.count,
        true,
        &mut || ledger.add_tables(id, TABLE_FRAMES),
    );

    space.map_window(
        &mut kernel.pool,
        u64::from(record.attached_first) << BLOCK_ORDER,
        u64::from(record.attached_blocks) << BLOCK_ORDER,
        true,
        &mut || ledger.add_tables(id, TABLE_FRAMES),
    );

    for segment in record.segments.iter().filter(|segment| segment.pages != 0) {
        let frame = bundle.frame(segment.first_page);
        let rights = Rights(segment.rights);
        let flags = leaf_flags(rights, false);
        let mut next = frame;
        for (address, pages) in runs(segment.address, u64::from(segment.pages)) {
            space
                .reach::<0>(&mut kernel.pool, address, pages, &mut || {
                    ledger.add_tables(id, TABLE_FRAMES)
                })
                .map(ledger, image.slot(), next, flags);
            next += pages;
        }
        ledger.add_mappings(frame, u64::from(segment.pages));
    }

    grant(ledger.check_tables_quota(id, 0), number, "page tables");

    let mut capabilities = [0; INITIAL_CAPABILITIES_MAX];
    let mut count = 0;
    let mut give = |capability: Capability| {
        if let Some(slot) = capabilities.get_mut(count) {
            *slot = capability.0;
            count += 1;
        }
    };
    give(memory);
    give(image);
    attached.into_iter().for_each(&mut give);
    let ports = record.ports.iter().filter(|ports| ports.count != 0);
    for ports in ports.clone() {
        let refused = Err(Error::NotPermitted);
        let allowed = if ports.is_grantable() {
            ledger.check_capability_quota(id)
        } else {
            refused
        };
        grant(allowed, number, "ports");
        give(ledger.add_capability(
            id,
            Name::new(Kind::Ports, u64::from(ports.first), u64::from(ports.count)),
            Rights::CAPABILITY,
        ));
    }
    for extent in record.extents.iter().filter(|extent| extent.sectors != 0) {
        grant(ledger.check_capability_quota(id), number, "extents");
        let readable = Rights(Rights::CAPABILITY.0 & !Rights::WRITE.0);
        let name = Name {
            kind: Kind::Extent,
            resource: extent.disk,
            first: extent.first,
            count: extent.sectors,
        };
        let rights = match extent.writable {
            0 => readable,
            _ => Rights::CAPABILITY,
        };
        give(ledger.add_capability(id, name, rights));
    }
    for &function in record.functions.iter().take(record.function_count as usize) {
        grant(ledger.check_capability_quota(id), number, "functions");
        ledger.give_function(function, id);
        give(ledger.add_capability(
            id,
            Name::new(Kind::Function, u64::from(function), 1),
            Rights::CAPABILITY,
        ));
    }
    let made = u64::from(record.environments);
    if made != 0 {
        grant(ledger.check_capability_quota(id), number, "environments");
        give(ledger.add_capability(
            id,
            Name::new(Kind::Environment, first_made, made),
            Rights::CAPABILITY,
        ));
    }

    ledger.guarantee(id);
    pages.write_start(&Start {
        id: u64::from(id.0),
        grant: (allocation.first, allocation.count),
        arguments: (record.arguments, u64::from(record.argument_count)),
        capabilities: capabilities.get(..count).unwrap_or_default(),
        kernel_stack: vcpu::kernel_stack(record.vcpu as usize),
    });
    pages.set_resume_point(record.entry, 0);
    let places = transfer::places(&kernel.ledger, id, record.vcpu as usize);
    pages.start_transfer_notes(&places, record.vcpu as usize, space.root());
    let ports = PortSet::of(ports.copied());
    pages.start_turn_notes(interface_page::turn_code(kernel.features).begin);
    pages.set_terms(record.vcpu as usize, ports.number(), false);
    if let Ok(environment) = kernel.environment(id) {
        environment.space = space;
        environment.context = switch::Context {
            pages,
            root: space.root(),
            ports,
            progress: switch::Progress::None,
            begins: false,
        };
    }
    slices::add(kernel, record.vcpu as usize, id);
    made
}
