//! The kernel's driver of the virtio-iommu (virtio 1.2, section 5.13): one request queue, one request at a time.
//!
//! The device handles a request while the doorbell store is under way, so that it is done when the store has returned.

use core::sync::atomic::{Ordering, fence};

use exo_abi::address::PAGE_SHIFT;
use exo_abi::function::{
    COMMON_PAGE, FunctionRecord, PCI_COMMAND, PCI_COMMAND_BUS_MASTER, PCI_COMMAND_MEMORY,
};
use exo_abi::virtio::iommu::{ANSWER_SIZE, ATTACH_SIZE, MAP_SIZE, RequestKind, Status, UNMAP_SIZE};
use exo_abi::virtio::{common, descriptor, feature, status};
use exo_abi::{EnvironmentId, Error, Rights};

use crate::hw::devices;
use crate::hw::shared_page::SharedPage;

/// Entries of the request queue; a request takes two.
const QUEUE_SIZE: u16 = 2;
/// Offsets in the shared page: descriptors, available ring, used ring, request, answer.
const DESCRIPTORS: usize = 0;
const AVAILABLE: usize = 0x100;
const USED: usize = 0x200;
const REQUEST: usize = 0x400;
const ANSWER: usize = 0x440;

static PAGE: SharedPage = SharedPage::new();

/// The device, started.
pub struct Iommu {
    doorbell: u64,
    submitted: u16,
}

impl Iommu {
    /// Starts the device. Cost: some 20 exits, so it is done when the first function is bound. `None` where the device will not have it.
    pub fn start(record: &FunctionRecord) -> Option<Self> {
        devices::write::<u16>(
            record.configuration + PCI_COMMAND,
            PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER,
        );
        let registers = record.registers + (COMMON_PAGE << PAGE_SHIFT);
        let set_status = |bits: u8| devices::write::<u8>(registers + common::STATUS, bits);
        set_status(0);
        let mut progress = status::ACKNOWLEDGE | status::DRIVER;
        set_status(progress);
        devices::write::<u32>(registers + common::DRIVER_FEATURE_SELECT, 1);
        devices::write::<u32>(
            registers + common::DRIVER_FEATURE,
            (feature::VERSION_1 >> 32) as u32,
        );
        progress |= status::FEATURES_OK;
        set_status(progress);
        if devices::read::<u8>(registers + common::STATUS) & status::FEATURES_OK == 0 {
            return None;
        }
        devices::write::<u16>(registers + common::QUEUE_SELECT, 0);
        devices::write::<u16>(registers + common::QUEUE_SIZE, QUEUE_SIZE);
        for (register, offset) in [
            (common::QUEUE_DESCRIPTORS, DESCRIPTORS),
            (common::QUEUE_AVAILABLE, AVAILABLE),
            (common::QUEUE_USED, USED),
        ] {
            devices::write::<u64>(registers + register, PAGE.physical() + offset as u64);
        }
        devices::write::<u16>(registers + common::QUEUE_ENABLE, 1);
        set_status(progress | status::DRIVER_OK);
        write_descriptors();
        Some(Self {
            doorbell: record.doorbells,
            submitted: 0,
        })
    }

    /// Puts a function into the domain of an environment.
    pub fn attach(&mut self, domain: EnvironmentId, endpoint: u32) -> Result<(), Error> {
        self.change_endpoint(RequestKind::Attach, domain, endpoint)
    }

    /// Takes it out again.
    pub fn detach(&mut self, domain: EnvironmentId, endpoint: u32) -> Result<(), Error> {
        self.change_endpoint(RequestKind::Detach, domain, endpoint)
    }

    /// Lets the functions of a domain reach frames, at their physical addresses.
    pub fn map(
        &mut self,
        domain: EnvironmentId,
        first: u64,
        count: u64,
        rights: Rights,
    ) -> Result<(), Error> {
        let (start, last) = (first << PAGE_SHIFT, ((first + count) << PAGE_SHIFT) - 1);
        self.change_range(
            RequestKind::Map,
            domain,
            start,
            last,
            Some((start, rights.0)),
        )
    }

    /// Ends that; returns when no request is in flight to the frames. A domain that is gone with its last function maps nothing.
    pub fn unmap(&mut self, domain: EnvironmentId, first: u64, count: u64) -> Result<(), Error> {
        let (start, last) = (first << PAGE_SHIFT, ((first + count) << PAGE_SHIFT) - 1);
        self.change_range(RequestKind::Unmap, domain, start, last, None)
    }

    /// MAP and UNMAP: head, domain, first and last address; then, for MAP, physical address and flags.
    fn change_range(
        &mut self,
        kind: RequestKind,
        domain: EnvironmentId,
        start: u64,
        last: u64,
        map: Option<(u64, u32)>,
    ) -> Result<(), Error> {
        PAGE.word(REQUEST)
            .store(kind as u64 | u64::from(domain.0) << 32, Ordering::Relaxed);
        PAGE.word(REQUEST + 8).store(start, Ordering::Relaxed);
        PAGE.word(REQUEST + 16).store(last, Ordering::Relaxed);
        let (physical, flags) = map.unwrap_or((0, 0));
        PAGE.word(REQUEST + 24).store(physical, Ordering::Relaxed);
        PAGE.word(REQUEST + 32)
            .store(u64::from(flags), Ordering::Relaxed);
        let size = if map.is_some() { MAP_SIZE } else { UNMAP_SIZE };
        self.submit(kind, size)
    }

    /// ATTACH and DETACH: head, domain, endpoint, reserved: 20 bytes.
    fn change_endpoint(
        &mut self,
        kind: RequestKind,
        domain: EnvironmentId,
        endpoint: u32,
    ) -> Result<(), Error> {
        PAGE.word(REQUEST)
            .store(kind as u64 | u64::from(domain.0) << 32, Ordering::Relaxed);
        PAGE.word(REQUEST + 8)
            .store(u64::from(endpoint), Ordering::Relaxed);
        PAGE.word(REQUEST + 16).store(0, Ordering::Relaxed);
        self.submit(kind, ATTACH_SIZE)
    }

    /// Hands the request to the device and reads its answer.
    fn submit(&mut self, kind: RequestKind, size: u64) -> Result<(), Error> {
        set_descriptor(0, REQUEST, size, descriptor::NEXT, 1);
        PAGE.word(ANSWER)
            .store(u64::from(u8::MAX), Ordering::Relaxed);
        // Both entries of the available ring name descriptor 0, as memory arrived.
        self.submitted = self.submitted.wrapping_add(1);
        fence(Ordering::Release);
        PAGE.half(AVAILABLE + 2)
            .store(self.submitted, Ordering::Release);
        devices::write::<u16>(self.doorbell, 0);
        if PAGE.half(USED + 2).load(Ordering::Acquire) != self.submitted {
            return Err(Error::BadState);
        }
        match Status::from_number(PAGE.word(ANSWER).load(Ordering::Relaxed) as u8) {
            Some(Status::Ok | Status::NoEntry) if kind == RequestKind::Unmap => Ok(()),
            Some(Status::Ok) => Ok(()),
            _ => Err(Error::BadState),
        }
    }
}

/// A descriptor: address, then length, flags and next in one word (section 2.7.5).
fn set_descriptor(number: usize, offset: usize, size: u64, flags: u16, next: u16) {
    PAGE.word(DESCRIPTORS + 16 * number)
        .store(PAGE.physical() + offset as u64, Ordering::Relaxed);
    let rest = size | u64::from(flags) << 32 | u64::from(next) << 48;
    PAGE.word(DESCRIPTORS + 16 * number + 8)
        .store(rest, Ordering::Relaxed);
}

/// The answer's descriptor never changes.
fn write_descriptors() {
    set_descriptor(1, ANSWER, ANSWER_SIZE, descriptor::WRITE, 0);
}
