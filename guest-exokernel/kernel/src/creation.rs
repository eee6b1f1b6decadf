//! Environments that are made: from a number that nobody uses to one that waits for its start, and from its end back to that.
//!
//! A number keeps its pages and the tables that lead to them. All else is its owner's, and goes back.

use exo_abi::EnvironmentId;
use exo_abi::environment::{KEPT_TABLES, State};
use exo_abi::layout::ENVIRONMENT_PAGES;
use exo_ledger::Creation;

use crate::hw::environment_pages::{EnvironmentPages, Start};
use crate::hw::paging::AddressSpace;
use crate::hw::{interface_page, memory, registers, switch, vcpu};
use crate::kernel::Kernel;
use crate::ports::PortSet;
use crate::{predicates, scheduler, transfer};

/// Makes an environment ready that has been recorded: its pages and its address space, with the upcall entries of `maker`.
pub fn prepare(kernel: &mut Kernel, planned: Creation, maker: EnvironmentId, vcpu: usize) {
    let id = planned.id;
    let number = u64::from(id.0) - 1;
    let pages = EnvironmentPages::new(kernel.environment_pages + number * ENVIRONMENT_PAGES);
    let mut space = kernel
        .environment(id)
        .map_or(AddressSpace::NONE, |one| one.space);
    if !space.exists() {
        space = AddressSpace::new(&mut kernel.pool, pages.physical());
        kernel.ledger.add_tables(id, KEPT_TABLES);
    }
    pages.write_start(&Start {
        id: u64::from(id.0),
        grant: (0, 0),
        arguments: (0, 0),
        capabilities: &[],
        kernel_stack: vcpu::kernel_stack(vcpu),
    });
    if let Ok(maker) = kernel.environment(maker) {
        pages.copy_upcalls(maker.context.pages);
    }
    let places = transfer::places(&kernel.ledger, id, vcpu);
    pages.clear_transfer_notes();
    pages.start_transfer_notes(&places, vcpu, space.root());
    pages.start_turn_notes(interface_page::turn_code(kernel.features).begin);
    pages.set_terms(vcpu, PortSet::EMPTY.number(), pages.wants_slice_begin());
    predicates::unbind(kernel, id);
    if let Ok(environment) = kernel.environment(id) {
        environment.space = space;
        environment.context = switch::Context {
            pages,
            root: space.root(),
            ..switch::Context::NONE
        };
        environment.awaits_predicate = false;
        environment.debt = 0;
        environment.untold = false;
    }
    if let Ok(owner) = kernel.environment(planned.owner) {
        owner.made += 1;
    }
}

/// Lets it have its turns. `index` is this vCPU.
pub fn start(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    // It is woken as any other: the vCPU that is to run it may sleep.
    kernel.ledger.set_state(id, State::Waiting);
    scheduler::wake(kernel, index, id);
}

/// Gives back to its owner what an environment that has ended was made of, and tells the owner. It holds nothing any more. Nothing
/// happens to one of the image.
pub fn give_back(kernel: &mut Kernel, id: EnvironmentId) {
    let owner = kernel.ledger.owner_of(id);
    let Ok(environment) = kernel.environment(id) else {
        return;
    };
    if owner == EnvironmentId::NOBODY {
        return;
    }
    let space = environment.space;
    let index = vcpu::index();
    if kernel.ledger.running(index) == id {
        // It has ended itself: this vCPU stands on its tables.
        registers::set_root(memory::kernel_root());
    }
    let tables = space.give_tables_back(&mut kernel.pool);
    kernel.ledger.remove_tables(id, tables);
    kernel.ledger.return_quotas(id);
    if let Ok(environment) = kernel.environment(owner) {
        environment.made -= 1;
        environment.context.pages.raise_events();
    }
    predicates::notice(kernel, index, owner);
}
