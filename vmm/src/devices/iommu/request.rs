//! Requests of the IOMMU (virtio 1.2, section 5.13.6): what a chain asks for, and the bytes of the answer.

use exo_abi::function::StopReason;
use exo_abi::virtio::iommu::{ANSWER_SIZE, ATTACH_SIZE, MAP_SIZE, RequestKind, Status, UNMAP_SIZE};

use super::domains::Domains;
use crate::devices::chain::Chain;
use crate::devices::endpoint::DmaMemory;

/// Bytes of the properties in the answer to a PROBE.
pub const PROBE_SIZE: usize = 24;
/// Bytes of a PROBE: head, endpoint, reserved.
const PROBE_REQUEST_SIZE: usize = 72;
/// Property: a range that is not for mappings (section 5.13.6.7.1), here that of message-signalled interrupts.
const PROPERTY_RESERVED: u16 = 1;
const RESERVED_MESSAGES: u8 = 1;
const MESSAGES_FIRST: u64 = 0xfee0_0000;
const MESSAGES_LAST: u64 = 0xfeef_ffff;

/// A request, read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Domain, endpoint, flags.
    Attach(u32, u32, u32),
    /// Domain, endpoint.
    Detach(u32, u32),
    /// Domain, first and last address, physical address, flags.
    Map(u32, u64, u64, u64, u32),
    /// Domain, first and last address.
    Unmap(u32, u64, u64),
    /// Endpoint.
    Probe(u32),
    /// A number without a meaning.
    Unknown,
}

impl Request {
    /// Reads the readable part of a chain.
    pub fn parse(chain: &mut Chain, memory: &DmaMemory) -> Result<Self, StopReason> {
        let mut bytes = [0; PROBE_REQUEST_SIZE];
        let (head, rest) = bytes.split_at_mut(4);
        chain.readable.take_front(memory, head)?;
        let Some(kind) = head.first().copied().and_then(RequestKind::from_number) else {
            return Ok(Self::Unknown);
        };
        let size = match kind {
            RequestKind::Attach | RequestKind::Detach => ATTACH_SIZE as usize,
            RequestKind::Map => MAP_SIZE as usize,
            RequestKind::Unmap => UNMAP_SIZE as usize,
            RequestKind::Probe => PROBE_REQUEST_SIZE,
        };
        let rest = rest.get_mut(..size - 4).unwrap_or_default();
        chain.readable.take_front(memory, rest)?;
        let word = |place| long(&bytes, place) as u32;
        let long = |place| long(&bytes, place);
        Ok(match kind {
            RequestKind::Attach => Self::Attach(word(4), word(8), word(12)),
            RequestKind::Detach => Self::Detach(word(4), word(8)),
            RequestKind::Map => Self::Map(word(4), long(8), long(16), long(24), word(32)),
            RequestKind::Unmap => Self::Unmap(word(4), long(8), long(16)),
            RequestKind::Probe => Self::Probe(word(4)),
        })
    }

    /// Does it, and returns the answer.
    pub fn carry_out(self, domains: &mut Domains) -> Vec<u8> {
        let mut answer = Vec::new();
        let done = match self {
            Self::Attach(domain, endpoint, flags) => domains.attach(domain, endpoint, flags),
            Self::Detach(domain, endpoint) => domains.detach(domain, endpoint),
            Self::Map(domain, first, last, physical, flags) => {
                domains.map(domain, first, last, physical, flags)
            }
            Self::Unmap(domain, first, last) => domains.unmap(domain, first, last),
            Self::Probe(endpoint) => {
                answer.extend(PROPERTY_RESERVED.to_le_bytes());
                answer.extend((PROBE_SIZE as u16 - 4).to_le_bytes());
                answer.extend([RESERVED_MESSAGES, 0, 0, 0]);
                answer.extend(MESSAGES_FIRST.to_le_bytes());
                answer.extend(MESSAGES_LAST.to_le_bytes());
                domains.check_endpoint(endpoint)
            }
            Self::Unknown => Err(Status::Unsupported),
        };
        let status = done.err().unwrap_or(Status::Ok);
        answer.push(status as u8);
        answer.resize(answer.len() + ANSWER_SIZE as usize - 1, 0);
        answer
    }
}

/// The bytes from `place` on, at most 8, as a number.
fn long(bytes: &[u8], place: usize) -> u64 {
    let bytes = bytes.iter().skip(place).take(8);
    bytes.rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}
