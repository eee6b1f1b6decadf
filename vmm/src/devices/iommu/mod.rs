//! virtio-iommu (virtio 1.2, section 5.13): the kernel says through it what each function may reach.
//!
//! Its own queue lies in the kernel's memory and is not translated. A request is done when the store to the doorbell
//! has returned. Faults are not reported on the event queue: a queue that faults stops with a reason.

pub mod domains;
mod request;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use exo_abi::address::PAGE_SIZE;
use exo_abi::function::{QueueService, StopReason};
use exo_abi::virtio::DEVICE_IOMMU;

use super::VirtioDevice;
use super::chain::Chain;
use super::ring::Ring;
use super::server::QueueHandler;
use super::signals::QueueCounters;
use domains::Domains;
use request::{PROBE_SIZE, Request};

/// Features (section 5.13.3).
const FEATURE_MAP_UNMAP: u64 = 1 << 2;
const FEATURE_PROBE: u64 = 1 << 4;
const QUEUE_SIZE_MAX: u16 = 64;
/// Queues: requests and events.
pub const QUEUES: u32 = 2;
/// The request queue.
const REQUESTS: u16 = 0;

/// The IOMMU.
pub struct IommuDevice {
    domains: Arc<Mutex<Domains>>,
}

impl IommuDevice {
    /// An IOMMU for the members of `domains`.
    pub fn new(domains: Domains) -> Self {
        Self {
            domains: Arc::new(Mutex::new(domains)),
        }
    }
}

impl VirtioDevice for IommuDevice {
    fn device_type(&self) -> u32 {
        DEVICE_IOMMU
    }

    fn features(&self) -> u64 {
        FEATURE_MAP_UNMAP | FEATURE_PROBE
    }

    fn queue_size_max(&self) -> u16 {
        QUEUE_SIZE_MAX
    }

    fn is_synchronous(&self) -> bool {
        true
    }

    /// Section 5.13.4: page_size_mask, input_range, domain_range, probe_size, bypass.
    fn read_configuration(&self, offset: u64, data: &mut [u8]) {
        let mut bytes = Vec::with_capacity(40);
        bytes.extend((!(PAGE_SIZE - 1)).to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        bytes.extend(u64::MAX.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(u32::MAX.to_le_bytes());
        bytes.extend((PROBE_SIZE as u32).to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        for (byte, value) in data.iter_mut().zip(bytes.iter().skip(offset as usize)) {
            *byte = *value;
        }
    }

    fn reset(&self) {
        lock(&self.domains).detach_all();
    }

    fn handler(
        &self,
        queue: u16,
        _service: QueueService,
        _size: u16,
    ) -> io::Result<Box<dyn QueueHandler>> {
        let domains = (queue == REQUESTS).then(|| self.domains.clone());
        Ok(Box::new(IommuHandler {
            domains,
            chain: Chain::default(),
        }))
    }
}

fn lock(domains: &Mutex<Domains>) -> std::sync::MutexGuard<'_, Domains> {
    domains.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of the queues. That of events has no domains, and only keeps its buffers.
struct IommuHandler {
    domains: Option<Arc<Mutex<Domains>>>,
    chain: Chain,
}

impl QueueHandler for IommuHandler {
    fn serve(
        &mut self,
        ring: Option<&mut Ring>,
        counters: &QueueCounters,
    ) -> Result<bool, StopReason> {
        let (Some(domains), Some(ring)) = (&self.domains, ring) else {
            return Ok(false);
        };
        ring.serve_each(&mut self.chain, |memory, chain| {
            let request = Request::parse(chain, memory)?;
            let answer = request.carry_out(&mut lock(domains));
            if (chain.writable.length() as usize) < answer.len() {
                return Err(StopReason::RequestStatus);
            }
            let written = chain.writable.fill(memory, &answer)?;
            counters.count(0);
            Ok(written)
        })
    }
}
