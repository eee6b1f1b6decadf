//! Builds the devices of a machine from what its image asks for.

use std::ops::Range;
use std::sync::Arc;

use exo_abi::address::PAGE_SIZE;
use exo_abi::function::{FunctionRecord, MSIX_BAR_SIZE, QUEUES_MAX};
use exo_abi::virtio::DEVICE_IOMMU;

use super::VirtioDevice;
use super::control::Control;
use super::iommu::domains::{Domains, Member};
use super::iommu::{self, IommuDevice};
use super::requests::Requests;
use super::server::QueueServer;
use super::serving::Serving;
use super::signals::Signals;
use super::specification::FunctionSpecification;
use super::statistics::FunctionStatistics;
use crate::error::Error;
use crate::machine::Attachments;
use crate::machine::interrupts::InterruptRouter;
use crate::memory::GuestMemory;
use crate::pci::ecam::Ecam;
use crate::pci::function::{Function, FunctionParts};
use crate::pci::msix::Msix;
use crate::pci::placement::{ECAM_BASE, ECAM_SIZE, Placement, doorbells_size, registers_size};
use crate::pci::regions::Region;

/// First interrupt route of the devices.
const FIRST_ROUTE: u32 = 24;

/// The devices of one machine.
pub struct Devices {
    memory: GuestMemory,
    names: Vec<String>,
    functions: Vec<Arc<Function>>,
    serving: Arc<Serving>,
    requests: Arc<Requests>,
}

impl Devices {
    /// The devices for `specifications`, behind an IOMMU, which is function 0. Without functions there is no IOMMU either.
    pub fn new(
        specifications: Vec<FunctionSpecification>,
        memory: &GuestMemory,
        router: &Arc<dyn InterruptRouter>,
    ) -> Result<Self, Error> {
        let serving = Arc::new(Serving::default());
        let mut devices = Self {
            memory: memory.clone(),
            names: Vec::new(),
            functions: Vec::new(),
            serving,
            requests: Arc::default(),
        };
        if specifications.is_empty() {
            return Ok(devices);
        }
        let mut placement = Placement::default();
        let mut place = |device_type, queues| {
            placement.place(device_type, queues).ok_or_else(|| {
                Error::BadInput(format!(
                    "the image has too many functions, or one with more than {QUEUES_MAX} queues; give it fewer"
                ))
            })
        };
        let iommu = place(DEVICE_IOMMU, iommu::QUEUES)?;
        for specification in specifications {
            let FunctionSpecification { name, device } = specification;
            let record = FunctionRecord {
                disk: device.disk().map_or(0, |number| number + 1),
                ..place(device.device_type(), device.queues())?
            };
            let device = device.make(&name, memory)?;
            devices.add(name, record, device, router)?;
        }
        let members = devices.functions.iter().flat_map(Member::of).collect();
        let device = IommuDevice::new(Domains::new(memory.clone(), members));
        devices.add("iommu".into(), iommu, Arc::new(device), router)?;
        // Placed first, made last: it knows all others.
        devices.names.rotate_right(1);
        devices.functions.rotate_right(1);
        Ok(devices)
    }

    fn add(
        &mut self,
        name: String,
        record: FunctionRecord,
        device: Arc<dyn VirtioDevice>,
        router: &Arc<dyn InterruptRouter>,
    ) -> Result<(), Error> {
        let msix = Msix::new(router.clone(), first_route(&record), record.vectors);
        let signals = Arc::new(Signals::new(record.queues as u16, msix));
        let servers = (0..record.queues as u16)
            .map(|queue| QueueServer::new(signals.clone(), queue).map(Arc::new))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::system("making a doorbell", error))?;
        self.names.push(name);
        self.functions.push(Arc::new(Function::new(FunctionParts {
            translated: record.device_type != DEVICE_IOMMU,
            record,
            device,
            memory: self.memory.clone(),
            signals,
            servers,
            serving: self.serving.clone(),
        })));
        Ok(())
    }

    /// What the machine has to connect. `files` is where its memory shows files.
    pub fn attach(&self, files: Range<u64>) -> Result<Attachments, Error> {
        let mut attachments = Attachments {
            handler: Some(Arc::new(Control::new(
                self.memory.clone(),
                self.functions.clone(),
                self.requests.clone(),
                files,
            ))),
            ..Default::default()
        };
        if self.functions.is_empty() {
            return Ok(attachments);
        }
        let clash = |error| Error::System(format!("placing devices failed: {error}"));
        let bus = &mut attachments.bus;
        let ecam = Arc::new(Ecam::new(self.functions.clone()));
        bus.insert(ECAM_BASE, ECAM_SIZE, ecam).map_err(clash)?;
        for function in &self.functions {
            let record = function.record();
            let doorbells = doorbells_size(record.queues);
            for (bar, base, size) in [
                (0, record.registers, registers_size(record.queues)),
                (2, record.doorbells, doorbells),
                (4, record.msix, MSIX_BAR_SIZE),
            ] {
                let region = Arc::new(Region::new(function.clone(), bar));
                bus.insert(base, size, region).map_err(clash)?;
            }
            attachments.functions.push(*record);
            if function.device().is_synchronous() {
                continue;
            }
            for (queue, server) in (0..).zip(function.servers()) {
                let event = server
                    .doorbell
                    .try_clone()
                    .map_err(|error| Error::system("making a doorbell", error))?;
                let address = record.doorbells + queue * PAGE_SIZE;
                attachments.doorbells.push((address, event));
            }
        }
        Ok(attachments)
    }

    /// The functions, the IOMMU first.
    pub fn functions(&self) -> &[Arc<Function>] {
        &self.functions
    }

    /// Tells the drivers of all functions of a type that the device's configuration has changed.
    pub fn tell_change(&self, device_type: u32) {
        for function in &self.functions {
            if function.record().device_type == device_type {
                function.signals().interrupt_configuration();
            }
        }
    }

    /// What the host asks of the kernel.
    pub fn requests(&self) -> &Arc<Requests> {
        &self.requests
    }

    /// Ends the serving threads. What is in flight then has landed when the devices are dropped.
    pub fn stop(&self) {
        self.serving.stop();
    }

    /// Counts the doorbells that nobody has answered: those of polled queues. Only after the machine's end, for who answers would
    /// miss them.
    pub fn count_doorbells(&self) {
        for function in &self.functions {
            for server in function.servers() {
                server.count_doorbells();
            }
        }
    }

    /// What each function has done, in the order of the function table.
    pub fn statistics(&self) -> Vec<FunctionStatistics> {
        let functions = self.names.iter().zip(&self.functions);
        functions
            .map(|(name, function)| FunctionStatistics::of(name, function))
            .collect()
    }
}

/// The first interrupt route of a function. Each has room for as many vectors as any may have.
fn first_route(record: &FunctionRecord) -> u32 {
    let number = (record.address & 7) * 32 + (record.address >> 3);
    FIRST_ROUTE + number * (QUEUES_MAX + 1)
}
