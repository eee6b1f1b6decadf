//! Domains of the IOMMU: which addresses the functions and queues of an owner may reach, at identity only.
//!
//! An entry is removed from the translations of every function first; then nothing new can start, and the request waits
//! until what is under way or in flight has ended. Only then the guest is told.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use exo_abi::address::PAGE_SIZE;
use exo_abi::function::queue_endpoint;
use exo_abi::virtio::iommu::{MAP_READ, MAP_WRITE, Status};
use vm_memory::{GuestAddress, GuestMemoryBackend, Permissions};

use crate::devices::endpoint::Endpoint;
use crate::devices::server::EVERYTHING;
use crate::memory::GuestMemory;
use crate::pci::function::Function;

/// A function, or one of its queues, as the IOMMU knows it.
pub struct Member {
    /// Its endpoint number.
    number: u32,
    /// Its translations.
    endpoint: Arc<Endpoint>,
    function: Arc<Function>,
    queue: Option<u16>,
}

impl Member {
    /// The members of a function: itself, and its queues.
    pub fn of(function: &Arc<Function>) -> Vec<Self> {
        let address = function.record().address;
        let itself = Self {
            number: address,
            endpoint: function.endpoint().clone(),
            function: function.clone(),
            queue: None,
        };
        let queues = (0..function.record().queues as u16).filter_map(|queue| {
            Some(Self {
                number: queue_endpoint(address, queue.into()),
                endpoint: function.queue_endpoint(queue)?.clone(),
                function: function.clone(),
                queue: Some(queue),
            })
        });
        [itself].into_iter().chain(queues).collect()
    }

    fn quiesce(&self, range: &Range<u64>) {
        match self.queue {
            Some(queue) => self.function.quiesce_queue(queue, range.clone()),
            None => self.function.quiesce(range.clone()),
        }
    }

    /// It is in a domain from now on, or no longer: a queue then is driven by its own page, or by its function.
    fn set_attached(&self, attached: bool) {
        match self.queue {
            Some(queue) => self.function.set_separate(queue, attached),
            None => self.quiesce(&EVERYTHING),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    /// Last address.
    last: u64,
    permissions: Permissions,
}

#[derive(Default)]
struct Domain {
    /// By first address; they never overlap.
    mappings: BTreeMap<u64, Mapping>,
    endpoints: BTreeSet<u32>,
}

/// All domains, and the functions that can be in them.
pub struct Domains {
    memory: GuestMemory,
    members: Vec<Member>,
    domains: BTreeMap<u32, Domain>,
}

impl Domains {
    /// No domains yet for `members`.
    pub fn new(memory: GuestMemory, members: Vec<Member>) -> Self {
        Self {
            memory,
            members,
            domains: BTreeMap::new(),
        }
    }

    fn member(&self, number: u32) -> Result<&Member, Status> {
        let member = self.members.iter().find(|member| member.number == number);
        member.ok_or(Status::NoEntry)
    }

    /// Whether there is such a function.
    pub fn check_endpoint(&self, endpoint: u32) -> Result<(), Status> {
        self.member(endpoint).map(|_| ())
    }

    /// Puts a function into a domain, which is made if it is new, and takes it out of the one where it was.
    pub fn attach(&mut self, domain: u32, endpoint: u32, flags: u32) -> Result<(), Status> {
        // The bypass flag is for devices that offer VIRTIO_IOMMU_F_BYPASS_CONFIG.
        if flags != 0 {
            return Err(Status::Invalid);
        }
        self.member(endpoint)?;
        let current = self.domain_of(endpoint);
        if current == Some(domain) {
            return Ok(());
        }
        if let Some(current) = current {
            self.detach(current, endpoint)?;
        }
        let joined = self.domains.entry(domain).or_default();
        joined.endpoints.insert(endpoint);
        let mappings: Vec<_> = joined.mappings.iter().map(|(&a, &b)| (a, b)).collect();
        let member = self.member(endpoint)?;
        member.set_attached(true);
        for (first, mapping) in mappings {
            let length = mapping.last - first + 1;
            member.endpoint.map(first, length, mapping.permissions);
        }
        Ok(())
    }

    fn domain_of(&self, endpoint: u32) -> Option<u32> {
        let mut domains = self.domains.iter();
        domains
            .find(|(_, domain)| domain.endpoints.contains(&endpoint))
            .map(|(&number, _)| number)
    }

    /// Takes a function out of its domain; a domain with no function is forgotten (virtio 1.2, section 5.13.6.4).
    pub fn detach(&mut self, domain: u32, endpoint: u32) -> Result<(), Status> {
        self.member(endpoint)?;
        let left = self.domains.get_mut(&domain).ok_or(Status::Invalid)?;
        if !left.endpoints.remove(&endpoint) {
            return Err(Status::Invalid);
        }
        if left.endpoints.is_empty() {
            self.domains.remove(&domain);
        }
        let member = self.member(endpoint)?;
        member.endpoint.unmap_all();
        member.set_attached(false);
        Ok(())
    }

    /// Takes every function out of its domain.
    pub fn detach_all(&mut self) {
        self.domains.clear();
        for member in &self.members {
            member.endpoint.unmap_all();
            member.set_attached(false);
        }
    }

    /// Lets the functions of a domain reach `first..=last`, which must be memory, at the same physical address.
    pub fn map(
        &mut self,
        domain: u32,
        first: u64,
        last: u64,
        physical: u64,
        flags: u32,
    ) -> Result<(), Status> {
        if flags & !(MAP_READ | MAP_WRITE) != 0 || physical != first {
            return Err(Status::Invalid);
        }
        let permissions = match (flags & MAP_READ != 0, flags & MAP_WRITE != 0) {
            (true, true) => Permissions::ReadWrite,
            (true, false) => Permissions::Read,
            (false, true) => Permissions::Write,
            (false, false) => return Err(Status::Invalid),
        };
        let end = last.checked_add(1).ok_or(Status::Range)?;
        if first >= end || !first.is_multiple_of(PAGE_SIZE) || !end.is_multiple_of(PAGE_SIZE) {
            return Err(Status::Range);
        }
        let length = end - first;
        let is_memory = usize::try_from(length)
            .is_ok_and(|length| self.memory.check_range(GuestAddress(first), length));
        if !is_memory {
            return Err(Status::Range);
        }
        let domain = self.domains.get_mut(&domain).ok_or(Status::NoEntry)?;
        let below = domain.mappings.range(..=last).next_back();
        if below.is_some_and(|(_, mapping)| mapping.last >= first) {
            return Err(Status::Invalid);
        }
        domain.mappings.insert(first, Mapping { last, permissions });
        let members = self.members.iter();
        for member in members.filter(|member| domain.endpoints.contains(&member.number)) {
            member.endpoint.map(first, length, permissions);
        }
        Ok(())
    }

    /// Ends the mappings in `first..=last`. A mapping that lies there only in part is not split (section 5.13.6.6).
    pub fn unmap(&mut self, domain: u32, first: u64, last: u64) -> Result<(), Status> {
        if first > last {
            return Err(Status::Range);
        }
        let domain = self.domains.get_mut(&domain).ok_or(Status::NoEntry)?;
        let reaches_in = domain.mappings.range(..first).next_back();
        let reaches_out = domain.mappings.range(first..=last).next_back();
        if reaches_in.is_some_and(|(_, mapping)| mapping.last >= first)
            || reaches_out.is_some_and(|(_, mapping)| mapping.last > last)
        {
            return Err(Status::Range);
        }
        let mut ended = Vec::new();
        domain.mappings.retain(|&start, mapping| {
            let inside = (first..=last).contains(&start);
            if inside {
                ended.push((start, mapping.last));
            }
            !inside
        });
        let members: Vec<&Member> = self
            .members
            .iter()
            .filter(|member| domain.endpoints.contains(&member.number))
            .collect();
        for &(start, last) in &ended {
            for member in &members {
                member.endpoint.unmap(start, last - start + 1);
            }
        }
        for (start, last) in ended {
            for member in &members {
                member.quiesce(&(start..last + 1));
            }
        }
        Ok(())
    }
}
