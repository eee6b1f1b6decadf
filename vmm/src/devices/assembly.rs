//! Builds the devices of a machine from what its image asks for, and tells what became of them.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use exo_abi::address::PAGE_SIZE;
use exo_abi::function::{FunctionRecord, MSIX_BAR_SIZE, QUEUES_MAX, StopReason};
use exo_abi::virtio::{DEVICE_BLOCK, DEVICE_CONSOLE, DEVICE_IOMMU};
use serde::Serialize;
use vm_memory::IommuMemory;

use super::VirtioDevice;
use super::block::Block;
use super::block::disk::Disk;
use super::block::extent::Extent;
use super::console::Console;
use super::control::Control;
use super::endpoint::{DmaMemory, Endpoint};
use super::iommu::IommuDevice;
use super::iommu::domains::{Domains, Member};
use super::server::QueueServer;
use super::serving::Serving;
use super::signals::Signals;
use crate::error::Error;
use crate::machine::Attachments;
use crate::machine::interrupts::InterruptRouter;
use crate::memory::GuestMemory;
use crate::pci::ecam::Ecam;
use crate::pci::function::{Function, FunctionParts};
use crate::pci::msix::Msix;
use crate::pci::placement::{ECAM_BASE, ECAM_SIZE, Placement, REGISTERS_SIZE, doorbells_size};
use crate::pci::regions::Region;

/// First interrupt route of the devices; each function may use as many as it may have vectors.
const FIRST_ROUTE: u32 = 24;
/// Queues of the IOMMU: requests and events.
const IOMMU_QUEUES: u32 = 2;

/// Queues of a console: input and output.
const CONSOLE_QUEUES: u32 = 2;

/// A function that the image asks for.
pub struct FunctionSpecification {
    /// Its name in the image.
    pub name: String,
    /// What it is.
    pub device: DeviceSpecification,
}

/// What a function is.
pub enum DeviceSpecification {
    /// A part of a disk.
    Block {
        /// The disk.
        disk: Arc<Disk>,
        /// First sector and count; the whole disk where this is absent.
        extent: Option<(u64, u64)>,
        /// Refuse writes.
        read_only: bool,
        /// Request queues.
        queues: u32,
    },
    /// A console over standard input and output.
    Console,
    /// A console over other streams.
    Streams {
        /// What the guest reads.
        input: Box<dyn Read + Send>,
        /// Where the guest writes.
        output: Box<dyn Write + Send>,
    },
}

/// What a function has done.
#[derive(Clone, Debug, Serialize)]
pub struct FunctionStatistics {
    /// Its name in the image; that of the IOMMU is `iommu`.
    pub name: String,
    /// By queue.
    pub queues: Vec<QueueStatistics>,
}

/// What a queue has done.
#[derive(Clone, Debug, Serialize)]
pub struct QueueStatistics {
    /// Times that the driver rang.
    pub doorbells: u64,
    /// Interrupts sent.
    pub interrupts: u64,
    /// Requests given back.
    pub requests: u64,
    /// Bytes of payload moved.
    pub bytes: u64,
    /// Why it was stopped last, or `none`.
    pub stop_reason: &'static str,
}

/// The devices of one machine.
pub struct Devices {
    memory: GuestMemory,
    names: Vec<String>,
    functions: Vec<Arc<Function>>,
    serving: Arc<Serving>,
}

/// A function whose parts are made, but not yet put together.
struct Draft {
    record: FunctionRecord,
    memory: DmaMemory,
    signals: Arc<Signals>,
    servers: Vec<Arc<QueueServer>>,
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
        };
        if specifications.is_empty() {
            return Ok(devices);
        }
        let mut placement = Placement::default();
        let mut drafts = Vec::new();
        let mut draft = |device_type, queues| {
            let record = placement.place(device_type, queues).ok_or_else(|| {
                Error::BadInput(format!(
                    "the image has too many functions, or one with more than {QUEUES_MAX} queues; give it fewer"
                ))
            })?;
            let route = FIRST_ROUTE + drafts_routes(&record);
            Draft::new(record, memory, router, route)
        };
        let iommu = draft(DEVICE_IOMMU, IOMMU_QUEUES)?;
        for specification in &specifications {
            drafts.push(match &specification.device {
                DeviceSpecification::Block { queues, .. } => draft(DEVICE_BLOCK, *queues)?,
                DeviceSpecification::Console | DeviceSpecification::Streams { .. } => {
                    draft(DEVICE_CONSOLE, CONSOLE_QUEUES)?
                }
            });
        }
        let members = drafts.iter().map(Draft::member).collect();
        let device = IommuDevice::new(Domains::new(memory.clone(), members));
        devices.add("iommu".into(), iommu, Arc::new(device));
        for (specification, draft) in specifications.into_iter().zip(drafts) {
            let name = specification.name;
            let device = make_device(&name, specification.device, memory)?;
            devices.add(name, draft, device);
        }
        Ok(devices)
    }

    fn add(&mut self, name: String, draft: Draft, device: Arc<dyn VirtioDevice>) {
        self.names.push(name);
        self.functions.push(Arc::new(Function::new(FunctionParts {
            record: draft.record,
            device,
            memory: draft.memory,
            signals: draft.signals,
            servers: draft.servers,
            serving: self.serving.clone(),
        })));
    }

    /// What the machine has to connect.
    pub fn attach(&self) -> Result<Attachments, Error> {
        let mut attachments = Attachments {
            handler: Some(Arc::new(Control::new(
                self.memory.clone(),
                self.functions.clone(),
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
                (0, record.registers, REGISTERS_SIZE),
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

    /// Ends the serving threads. What is in flight then has landed when the devices are dropped.
    pub fn stop(&self) {
        self.serving.stop();
    }

    /// What each function has done, in the order of the function table.
    pub fn statistics(&self) -> Vec<FunctionStatistics> {
        let functions = self.names.iter().zip(&self.functions);
        functions
            .map(|(name, function)| FunctionStatistics {
                name: name.clone(),
                queues: (0..function.servers().len() as u16)
                    .map(|queue| queue_statistics(function, queue))
                    .collect(),
            })
            .collect()
    }
}

/// Routes are numbered by function, whatever each uses.
fn drafts_routes(record: &FunctionRecord) -> u32 {
    let number = (record.address & 7) * 32 + (record.address >> 3);
    number * (QUEUES_MAX + 1)
}

impl Draft {
    fn new(
        record: FunctionRecord,
        memory: &GuestMemory,
        router: &Arc<dyn InterruptRouter>,
        route: u32,
    ) -> Result<Self, Error> {
        let msix = Msix::new(router.clone(), route, record.vectors);
        let signals = Arc::new(Signals::new(record.queues as u16, msix));
        let servers = (0..record.queues as u16)
            .map(|queue| QueueServer::new(signals.clone(), queue).map(Arc::new))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::system("making a doorbell", error))?;
        let translated = record.device_type != DEVICE_IOMMU;
        Ok(Self {
            record,
            memory: IommuMemory::new(memory.clone(), Endpoint::default(), translated, ()),
            signals,
            servers,
        })
    }

    fn member(&self) -> Member {
        Member {
            number: self.record.address,
            endpoint: self.memory.iommu().clone(),
            servers: self.servers.clone(),
        }
    }
}

fn make_device(
    name: &str,
    device: DeviceSpecification,
    memory: &GuestMemory,
) -> Result<Arc<dyn VirtioDevice>, Error> {
    let console = |input, output| -> Result<Arc<dyn VirtioDevice>, Error> {
        let console = Console::new(input, output)
            .map_err(|error| Error::system("making a console", error))?;
        Ok(Arc::new(console))
    };
    match device {
        DeviceSpecification::Block {
            disk,
            extent,
            read_only,
            queues,
        } => {
            let (first, sectors) = extent.unwrap_or((0, disk.sectors()));
            let extent = Extent {
                first,
                sectors,
                writable: !read_only,
            };
            let block = Block::new(disk.clone(), extent, queues as u16, memory.clone());
            let block = block.ok_or_else(|| {
                Error::BadInput(format!(
                    "function {name} shows {sectors} sectors from {first}, but disk {} has only {}; give it a larger disk, or the function a smaller extent",
                    disk.name(),
                    disk.sectors()
                ))
            })?;
            Ok(Arc::new(block))
        }
        DeviceSpecification::Console => console(Box::new(io::stdin()), Box::new(io::stdout())),
        DeviceSpecification::Streams { input, output } => console(input, output),
    }
}

fn queue_statistics(function: &Function, queue: u16) -> QueueStatistics {
    let signals = function.signals();
    // Rings of a polled queue have nobody to count them.
    if let Some(server) = function.servers().get(usize::from(queue)) {
        server.count_doorbells();
    }
    let count = |pick: fn(&super::signals::QueueCounters) -> &std::sync::atomic::AtomicU64| {
        let counters = signals.counters(queue);
        counters.map_or(0, |counters| pick(counters).load(Ordering::Relaxed))
    };
    let reason: StopReason = signals.last_stop_reason(queue);
    QueueStatistics {
        doorbells: count(|counters| &counters.doorbells),
        interrupts: count(|counters| &counters.interrupts),
        requests: count(|counters| &counters.requests),
        bytes: count(|counters| &counters.bytes),
        stop_reason: reason.name(),
    }
}
