//! Message-signalled interrupts: from an event of the host to a vector of a vCPU, without the VMM in between.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use kvm_bindings::{
    KVM_IRQ_ROUTING_MSI, KvmIrqRouting, kvm_irq_routing_entry, kvm_irq_routing_entry__bindgen_ty_1,
    kvm_irq_routing_msi, kvm_msi,
};
use kvm_ioctls::VmFd;
use vmm_sys_util::eventfd::EventFd;

/// What a device writes, and where, to raise an interrupt (Intel SDM volume 3, section 11.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Message address: `0xfee.....`, which names the vCPU.
    pub address: u64,
    /// Message data: the vector.
    pub data: u32,
}

/// Connects events of devices with vectors of vCPUs.
pub trait InterruptRouter: Send + Sync {
    /// From now on a signal on `event` raises the interrupt `message`. `route` is a number that the caller chooses, one per
    /// event; installing it again changes the message.
    fn install(&self, route: u32, message: Message, event: &EventFd) -> io::Result<()>;
    /// Undoes `install`; signals on `event` stay pending in it.
    fn remove(&self, route: u32, event: &EventFd) -> io::Result<()>;
}

/// The router of a KVM virtual machine: a route is a GSI with an irqfd (KVM api.rst, sections 4.52 and 4.75).
pub struct KvmRouter {
    vm: Arc<VmFd>,
    routes: Mutex<BTreeMap<u32, Message>>,
}

impl KvmRouter {
    /// A router with no routes.
    pub fn new(vm: Arc<VmFd>) -> Self {
        Self {
            vm,
            routes: Mutex::default(),
        }
    }

    /// Raises the interrupt `message` once.
    pub fn send(&self, message: Message) -> io::Result<()> {
        let message = kvm_msi {
            address_lo: message.address as u32,
            address_hi: (message.address >> 32) as u32,
            data: message.data,
            ..Default::default()
        };
        self.vm.signal_msi(message).map_err(io::Error::from)?;
        Ok(())
    }

    /// Makes `routes` the routing table of the machine.
    fn set(&self, routes: &BTreeMap<u32, Message>) -> io::Result<()> {
        let entries: Vec<_> = routes
            .iter()
            .map(|(&gsi, &message)| entry(gsi, message))
            .collect();
        let table = KvmIrqRouting::from_entries(&entries)
            .map_err(|_| io::Error::other("too many interrupt routes"))?;
        self.vm.set_gsi_routing(&table).map_err(io::Error::from)
    }
}

impl InterruptRouter for KvmRouter {
    fn install(&self, route: u32, message: Message, event: &EventFd) -> io::Result<()> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let old = routes.insert(route, message);
        if old == Some(message) {
            return Ok(());
        }
        let done = self.set(&routes).and_then(|()| match old {
            Some(_) => Ok(()),
            None => self
                .vm
                .register_irqfd(event, route)
                .map_err(io::Error::from),
        });
        if done.is_err() {
            match old {
                Some(message) => routes.insert(route, message),
                None => routes.remove(&route),
            };
        }
        done
    }

    fn remove(&self, route: u32, event: &EventFd) -> io::Result<()> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if routes.remove(&route).is_none() {
            return Ok(());
        }
        self.vm.unregister_irqfd(event, route)?;
        self.set(&routes)
    }
}

/// The routing entry of one message.
fn entry(gsi: u32, message: Message) -> kvm_irq_routing_entry {
    kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_MSI,
        u: kvm_irq_routing_entry__bindgen_ty_1 {
            msi: kvm_irq_routing_msi {
                address_lo: message.address as u32,
                address_hi: (message.address >> 32) as u32,
                data: message.data,
                ..Default::default()
            },
        },
        ..Default::default()
    }
}
