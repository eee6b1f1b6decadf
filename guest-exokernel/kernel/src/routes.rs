//! Interrupt routes: from a vector of a device function to a vector of a vCPU, and from there to an event counter of an environment.

use exo_abi::environment::EVENTS_MAX;
use exo_abi::function::{
    FunctionRecord, MSIX_TABLE, PCI_MSIX_CAPABILITY, PCI_MSIX_ENABLE, VECTORS_MAX,
};
use exo_abi::{EnvironmentId, Error};

use crate::hw::devices;
use crate::hw::vcpu::{DEVICE_VECTORS, FIRST_DEVICE_VECTOR};
use crate::kernel::Kernel;

/// Bytes of an entry of the MSI-X table: address, upper address, data, control (PCI 3.0, section 6.8.2.6).
const MSIX_ENTRY: u64 = 16;
/// Bit of an entry's control word that masks the vector.
const MSIX_MASK: u32 = 1;
/// Where interrupts are written to; the destination's number goes into bits 12 to 19 (Intel SDM volume 3, section 11.11.1).
const MESSAGE_ADDRESS: u32 = 0xfee0_0000;

/// Where a device interrupt goes.
#[derive(Clone, Copy)]
pub struct Route {
    /// Whose it is; nobody's while free.
    pub environment: EnvironmentId,
    /// Its event counter.
    pub event: usize,
}

/// Those of one vCPU.
pub struct Routes {
    routes: [Route; DEVICE_VECTORS],
    /// Bit s: slot s is in use.
    used: u64,
}

const _: () = assert!(DEVICE_VECTORS == u64::BITS as usize && EVENTS_MAX == u32::BITS as usize);

impl Routes {
    /// All free.
    pub const NONE: Self = Self {
        routes: [Route {
            environment: EnvironmentId::NOBODY,
            event: 0,
        }; DEVICE_VECTORS],
        used: 0,
    };

    /// Where the interrupt of a slot goes.
    pub fn get(&self, slot: usize) -> Option<Route> {
        let route = self.routes.get(slot).copied()?;
        (route.environment != EnvironmentId::NOBODY).then_some(route)
    }

    fn take(&mut self, slot: usize, route: Route) {
        if let Some(entry) = self.routes.get_mut(slot) {
            *entry = route;
            self.used |= 1 << slot;
        }
    }

    fn give_back(&mut self, slot: usize) -> Option<Route> {
        let old = self.get(slot)?;
        let nobody = EnvironmentId::NOBODY;
        self.routes.get_mut(slot)?.environment = nobody;
        self.used &= !(1 << slot);
        Some(old)
    }
}

/// Routes a vector of a function to a free event counter of an environment that vCPU `vcpu` runs; the event's index. Nothing may
/// be routed there yet. Cost: four stores to the MSI-X table, one to configuration space.
pub fn bind(
    kernel: &mut Kernel,
    vcpu: usize,
    environment: EnvironmentId,
    (function, record): (u32, FunctionRecord),
    vector: u64,
) -> Result<u64, Error> {
    let event = kernel.environment(environment)?.events.trailing_ones();
    if event == u32::BITS {
        return Err(Error::Quota);
    }
    let routes = &mut kernel.vcpus.get_mut(vcpu).ok_or(Error::BadArgument)?.routes;
    let slot = routes.used.trailing_ones() as usize;
    if slot == DEVICE_VECTORS {
        return Err(Error::Exhausted);
    }

    let route = Route {
        environment,
        event: event as usize,
    };
    routes.take(slot, route);
    kernel.environment(environment)?.events |= 1 << event;
    kernel.ledger.commit_vector(function, vector, vcpu, slot);
    let entry = msix_entry(&record, vector);
    devices::write::<u32>(entry, MESSAGE_ADDRESS | (vcpu as u32) << 12);
    devices::write::<u32>(entry + 4, 0);
    devices::write::<u32>(entry + 8, (FIRST_DEVICE_VECTOR + slot) as u32);
    devices::write::<u32>(entry + 12, 0);
    devices::write::<u16>(
        record.configuration + PCI_MSIX_CAPABILITY + 2,
        PCI_MSIX_ENABLE,
    );
    Ok(u64::from(event))
}

fn msix_entry(record: &FunctionRecord, vector: u64) -> u64 {
    record.msix + MSIX_TABLE + vector * MSIX_ENTRY
}

/// Ends the route of a vector, if it has one. An interrupt that is under way may still raise the event counter of whoever gets the
/// slot next: who waits for events looks for work, and a count alone means nothing.
pub fn unbind(kernel: &mut Kernel, function: u32, vector: u64) {
    let Some((vcpu, slot)) = kernel.ledger.take_route(function, vector as usize) else {
        return;
    };
    if let Ok(function) = kernel.ledger.function(function) {
        let control = msix_entry(&function.record, vector) + 12;
        devices::write::<u32>(control, MSIX_MASK);
    }
    let vcpu = kernel.vcpus.get_mut(vcpu);
    if let Some(route) = vcpu.and_then(|vcpu| vcpu.routes.give_back(slot))
        && let Ok(environment) = kernel.environment(route.environment)
    {
        environment.events &= !(1 << route.event);
    }
}

/// Ends the routes of a function, but for those of queues that are bound by themselves.
pub fn unbind_function(kernel: &mut Kernel, function: u32) {
    for vector in 0..u64::from(VECTORS_MAX) {
        if !kernel.ledger.is_vector_of_queue(function, vector) {
            unbind(kernel, function, vector);
        }
    }
}
